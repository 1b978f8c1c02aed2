package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/nomad/jobspec2"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/driver"
	"nomad-driver-pot/pot/cli"
)

// Each command line of this program in the documents is one that the program accepts, and
// each target of make exists. In the prose, arguments may be missing.
func TestDocs_commands(t *testing.T) {
	makefile, err := os.ReadFile("../GNUmakefile")
	must.NoError(t, err)
	found := 0
	check := func(where string, words []string, whole bool) {
		switch {
		case len(words) == 0:
		case words[0] == "pot" || words[0] == "nomad-driver-pot":
			found++
			if err := acceptable(words[1:], whole); err != nil {
				t.Errorf("%s: %s: %v", where, strings.Join(words, " "), err)
			}
		case words[0] == "make" || words[0] == "gmake":
			for _, target := range words[1:] {
				if !strings.Contains(target, "=") && !strings.Contains(string(makefile), "\n"+target+": ") {
					t.Errorf("%s: no such target: make %s", where, target)
				}
			}
		}
	}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language() != "sh" || b.skipped() {
				continue
			}
			for _, words := range commandLines(b.text) {
				check(fmt.Sprintf("%s:%d", b.file, b.line), words, true)
			}
		}
		for _, m := range spans.FindAllStringSubmatch(strings.ReplaceAll(p.prose, "\n", " "), -1) {
			if strings.HasPrefix(m[1], "pot ") || strings.HasPrefix(m[1], "make ") {
				for _, words := range commandLines(m[1]) {
					check(p.file, words, false)
				}
			}
		}
	}
	must.Greater(t, 60, found)
}

// skipped reports whether a block's commands are another program's under the name pot.
func (b block) skipped() bool { return slices.Contains(b.info, "shelltool") }

// acceptable returns the usage error of a command line, or of what there is of it.
func acceptable(args []string, whole bool) error {
	root := cli.New("pot")
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if c.Name() == "pot" && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return fmt.Errorf("no such command: %q", rest[0])
	}
	if !whole {
		for _, word := range rest {
			name, isFlag := strings.CutPrefix(word, "-")
			if !isFlag || name == "" {
				continue
			}
			if long, ok := strings.CutPrefix(name, "-"); ok && c.Flags().Lookup(long) == nil && long != "help" {
				return fmt.Errorf("no such flag: %s", word)
			} else if !ok && c.Flags().ShorthandLookup(name[:1]) == nil {
				return fmt.Errorf("no such flag: %s", word)
			}
		}
		return nil
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if err := c.ValidateRequiredFlags(); err != nil {
		return err
	}
	return c.ValidateArgs(c.Flags().Args())
}

var assignments = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// commandLines returns the words of each command in a script, without what is before or
// after it: assignments, sudo, redirections. It knows quotes, comments, pipes and lines that
// are continued, and no more of the shell's language.
func commandLines(script string) (all [][]string) {
	script = strings.ReplaceAll(script, "\\\n", " ")
	for line := range strings.Lines(script) {
		var words []string
		for _, word := range append(shellWords(line), ";") {
			if !slices.Contains([]string{";", "|", "||", "&&", "&"}, word) {
				words = append(words, word)
				continue
			}
			for len(words) > 0 && (assignments.MatchString(words[0]) || words[0] == "sudo") {
				words = words[1:]
			}
			if i := slices.IndexFunc(words, func(w string) bool { return w == ">" || w == ">>" || w == "<" }); i >= 0 {
				words = words[:i]
			}
			if len(words) > 0 {
				all = append(all, words)
			}
			words = nil
		}
	}
	return all
}

// shellWords splits a line as a shell does.
func shellWords(line string) (words []string) {
	word, open, quote := "", false, rune(0)
	for _, r := range line + "\n" {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == '#' && !open:
			return words
		case r == ' ' || r == '\t' || r == '\n':
			if open {
				words = append(words, word)
			}
			word, open = "", false
		default:
			word, open = word+string(r), true
		}
	}
	return words
}

func TestCommandLines(t *testing.T) {
	must.Eq(t, [][]string{
		{"pot", "set-cmd", "-p", "web", "-c", "nginx -g 'daemon off;'"},
		{"tar", "-cf", "-"}, {"pot", "image", "build", "--from", "-"}, {"make", "demo"}, {"make"},
	}, commandLines("A=1 sudo pot set-cmd \\\n  -p web -c \"nginx -g 'daemon off;'\" # a comment\n"+
		"tar -cf - | pot image build --from - > out && KEEP=1 make demo\nmake"))
	must.NoError(t, acceptable([]string{"export", "-p", "web", "-t", "1.0"}, true))
	must.NoError(t, acceptable([]string{"export", "-A"}, false))
	for _, bad := range [][]string{{"frob"}, {"export", "--frob"}, {"image", "verify"}, {"image", "frob"}, {"export", "-Z"}} {
		must.Error(t, acceptable(bad, true), must.Sprint(bad))
	}
	must.Error(t, acceptable([]string{"export", "-Z"}, false))
}

// Each key in the documents' configurations and jobs exists, and whole jobs are what Nomad
// accepts. The examples of docs/configuration.md are contents of config: driver's tests have
// them.
func TestDocs_keys(t *testing.T) {
	d := new(driver.Driver) // its schemas need no more
	plugin, err := d.ConfigSchema()
	must.NoError(t, err)
	task, err := d.TaskConfigSchema()
	must.NoError(t, err)
	configs := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language() != "hcl" {
				continue
			}
			where := fmt.Sprintf("%s:%d", b.file, b.line)
			file, diags := hclsyntax.ParseConfig([]byte(b.text), where, hcl.InitialPos)
			if diags.HasErrors() {
				t.Errorf("%s: %v", where, diags)
				continue
			}
			body := file.Body.(*hclsyntax.Body)
			eachConfig(body, "", func(parent string, config *hclsyntax.Body) {
				configs++
				spec := task
				if parent == "plugin" {
					spec = plugin
				}
				checkKeys(spec, config, "", func(key string) { t.Errorf("%s: no such key in config of a %s: %s", where, parent, key) })
			})
			if len(body.Blocks) == 1 && body.Blocks[0].Type == "job" {
				if _, err := jobspec2.Parse(where, strings.NewReader(b.text)); err != nil {
					t.Errorf("%s: %v", where, err)
				}
			}
		}
	}
	must.Greater(t, 8, configs)
}

// eachConfig calls do for each config block of the driver in a body: of its plugin block,
// of a task, or alone.
func eachConfig(body *hclsyntax.Body, parent string, do func(parent string, config *hclsyntax.Body)) {
	for _, b := range body.Blocks {
		switch {
		case b.Type == "config" && (parent == "" || parent == "plugin" || parent == "task"):
			do(parent, b.Body)
		case b.Type == "plugin" && !slices.Equal(b.Labels, []string{"nomad-driver-pot"}):
		default:
			eachConfig(b.Body, b.Type, do)
		}
	}
}

// checkKeys calls unknown for each key of a body that the schema does not have.
func checkKeys(spec *hclspec.Spec, body *hclsyntax.Body, prefix string, unknown func(key string)) {
	known := spec.GetObject().GetAttributes()
	for name := range body.Attributes {
		if of := known[name]; of == nil || of.GetBlockValue() != nil {
			unknown(prefix + name)
		}
	}
	for _, b := range body.Blocks {
		switch of := known[b.Type]; {
		case of == nil:
			unknown(prefix + b.Type)
		case of.GetBlockValue() != nil:
			checkKeys(of.GetBlockValue().Nested, b.Body, prefix+b.Type+".", unknown)
		}
	}
}
