package driver

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/shlex"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
	"nomad-driver-pot/pot/tree"
)

// A commandLine is the command of a job. Jobs for nomad-pot-driver write it for the shell
// that ran it: a string in quotes, an option with its value in one argument, a whole
// command line. No shell runs it here, so such strings are read by a shell's rules.
// All others are passed to the program as they are.
type commandLine struct {
	command string
	args    []string // after their strings were read
	changes []string // what was read, each led by its key, and how to write it
}

// commandLine returns the job's command with its arguments read. The command itself can
// only be read when the files of the pot are known: split.
func (c *TaskConfig) commandLine() commandLine {
	l := commandLine{command: c.Command}
	if slices.Equal(c.Args, []string{""}) {
		l.changes = append(l.changes, `config.args: leave out [""]`)
		return l
	}
	for i, arg := range c.Args {
		words, ok := shellArg(arg)
		if !ok {
			l.args = append(l.args, arg)
			continue
		}
		l.args = append(l.args, words...)
		l.changes = append(l.changes, fmt.Sprintf("config.args[%d]: write %s", i, quoted(words)))
	}
	return l
}

// argv returns the argument vector, nil for the image's own command.
func (l *commandLine) argv() []string {
	if l.command == "" {
		return nil
	}
	return append([]string{l.command}, l.args...)
}

// split splits a command that is a whole command line, unless isFile says that it is the
// path or the name of a file with blanks in it.
func (l *commandLine) split(isFile func(command string) bool) {
	if !strings.ContainsAny(l.command, blanks) || isFile(l.command) {
		return
	}
	words, err := shlex.Split(literalBackslashes(l.command))
	if err != nil || len(words) == 0 || words[0] == "" {
		return
	}
	l.command, l.args = words[0], append(words[1:], l.args...)
	change := fmt.Sprintf("config.command: write command = %s", strconv.Quote(l.command))
	if len(words) > 1 {
		change += fmt.Sprintf(" and args = [%s]", quoted(l.args))
	}
	l.changes = append([]string{change}, l.changes...)
}

// blanks separate the words of a command line.
const blanks = " \t"

// inQuotes matches a string that is wholly in one pair of quotes. option matches the name of
// an option, and optionFirst a string with words after one.
var (
	inQuotes    = regexp.MustCompile(`^(?s:'[^']*'|"(?:[^"\\]|\\.)*")$`)
	option      = regexp.MustCompile(`^--?[A-Za-z0-9][A-Za-z0-9._-]*$`)
	optionFirst = regexp.MustCompile(`^--?[A-Za-z0-9][A-Za-z0-9._-]*[ \t]+[^ \t]`)
)

// shellArg returns the words of an argument that was written for a shell: a string in quotes,
// or options, each with at most one value. No program takes those as one argument.
func shellArg(arg string) (words []string, ok bool) {
	text := strings.Trim(arg, blanks)
	whole := inQuotes.MatchString(text)
	if !whole && !optionFirst.MatchString(text) {
		return nil, false
	}
	words, err := shlex.Split(literalBackslashes(text))
	if err != nil {
		return nil, false
	}
	if whole {
		return words, len(words) == 1
	}
	for i, word := range words {
		if !option.MatchString(word) && (i == 0 || !option.MatchString(words[i-1])) {
			return nil, false
		}
	}
	return words, len(words) > 1
}

var (
	shellString = regexp.MustCompile(`(?s)'[^']*'|"(?:[^"\\]|\\.)*"`)
	escape      = regexp.MustCompile(`(?s)\\.`)
)

// literalBackslashes doubles the backslashes that a shell keeps within double quotes, where
// they escape $, `, ", \ and a newline alone (sh(1), Double Quotes). Package shlex drops all.
func literalBackslashes(text string) string {
	return shellString.ReplaceAllStringFunc(text, func(s string) string {
		if s[0] == '\'' {
			return s
		}
		return escape.ReplaceAllStringFunc(s, func(pair string) string {
			if strings.Contains("$`\"\\\n", pair[1:]) {
				return pair
			}
			return `\` + pair
		})
	})
}

// quoted returns words as elements of a list in a job file.
func quoted(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, strconv.Quote(w))
	}
	return strings.Join(all, ", ")
}

// report returns the event that says what was read by a shell's rules; "" if nothing was.
// A value of the task's environment, which may be secret, is shown as a job refers to it.
func (l *commandLine) report(env map[string]string) string {
	if len(l.changes) == 0 {
		return ""
	}
	text := strings.Join(l.changes, "; ")
	for _, name := range slices.Sorted(maps.Keys(env)) {
		const short = 4 // a value like "1" is no secret, and part of many words
		if value := env[name]; len(value) >= short && !strings.HasPrefix(name, "NOMAD_") {
			text = strings.ReplaceAll(text, value, "${"+name+"}")
		}
	}
	return "Read as a shell would, since no shell runs the command: " + text
}

// readCommand sets the plan's command, whose pot is about to be cloned from the plan's
// image, and emits an event if it is not as the job has it. It may be repeated.
func (b *backend) readCommand(ctx context.Context, p *plan, env map[string]string, emit eventFunc) error {
	if p.spec.Command != nil || p.line.command == "" {
		return nil
	}
	dir, err := b.pots.Host().Datasets.Dir(ctx, p.spec.Image)
	if err != nil {
		return fmt.Errorf("image %s: %w", p.spec.Image, err)
	}
	p.line.split(func(command string) bool { return hasFile(filepath.Join(dir, "m"), &p.spec, env["PATH"], command) })
	p.spec.Command = p.line.argv()
	if text := p.line.report(env); text != "" {
		emit("%s", text)
	}
	return nil
}

// hasFile reports whether a command is the path, or the name in PATH, of a file in the pot
// that s describes. image is the tree that the pot will be cloned from.
func hasFile(image string, s *pot.Spec, searchPath, command string) bool {
	switch {
	case path.IsAbs(command):
		return isFile(image, s, command)
	case strings.Contains(command, "/"):
		return isFile(image, s, path.Join("/", s.WorkDir, command))
	}
	for dir := range strings.SplitSeq(cmp.Or(searchPath, supervise.DefaultPath), ":") {
		if path.IsAbs(dir) && isFile(image, s, path.Join(dir, command)) {
			return true
		}
	}
	return false
}

// isFile reports whether the path name is a file in the pot that s describes: of the image,
// or of a mount or a copy that hides it.
func isFile(image string, s *pot.Spec, name string) bool {
	root, inside, above, resolved := image, path.Clean(name), "", true
	from := func(source, target string, isResolved bool) {
		target = path.Clean(target)
		if rest, below := strings.CutPrefix(path.Clean(name), target); below && (rest == "" || rest[0] == '/') && len(target) > len(above) {
			root, inside, above, resolved = source, rest, target, isResolved
		}
	}
	for _, c := range s.Copies {
		from(c.Source, c.Target, c.Resolved)
	}
	for _, m := range s.Mounts {
		from(m.Source, m.Target, m.Resolved)
	}
	if above != "" { // the source may have become a link since the job was read
		f, err := tree.OpenSource(root, resolved)
		if err != nil {
			return false
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.IsDir() {
			return err == nil && inside == ""
		}
	}
	return isFileIn(root, inside)
}

// isFileIn reports whether the path inside is a file in a tree that nobody trusts. It
// follows links within the tree, and none out of it.
func isFileIn(dir, inside string) bool {
	at, err := tree.Resolve(dir, inside)
	if err != nil {
		return false
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	info, err := root.Stat(cmp.Or(strings.TrimPrefix(at, "/"), "."))
	return err == nil && !info.IsDir()
}
