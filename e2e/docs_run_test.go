package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/oci/ocitest"
	"nomad-driver-pot/pot/cli"
)

// Under the name pot the test binary is the command line, for the blocks of documents. Under
// the name skopeo it makes the container image that they copy from a registry.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "pot":
		os.Exit(cli.Main(os.Args, os.Stdout, os.Stderr))
	case "skopeo":
		copied(os.Args[len(os.Args)-1])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// copied writes a container image to oci:DIR:TAG.
func copied(to string) {
	to, tag, _ := strings.Cut(strings.TrimPrefix(to, "oci:"), ":")
	ocitest.WriteLayout(to, tag, ocitest.New("freebsd", "amd64", v1.Config{
		Entrypoint: []string{"/usr/local/bin/web"}, Cmd: []string{"-listen", ":8080"}, User: "www", WorkingDir: "/srv/web",
		Env: []string{"PATH=/usr/local/bin:/bin", "LEVEL=info"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}},
	}, ocitest.Layer(ocitest.Archive(ocitest.File{Name: "usr/local/bin/web", Content: "a program"}))))
}

// The blocks of a document that are marked "sh run" are run in order, in one directory that
// is empty at first. A block "text output" is what the block before it prints; "…" in it
// stands for any text in a line.
func TestDocs_run(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the blocks are for Linux")
	}
	ran := 0
	for _, p := range pages(t) {
		if !slices.ContainsFunc(p.blocks, block.runs) {
			continue
		}
		ran++
		t.Run(p.file, func(t *testing.T) {
			dir, path := t.TempDir(), programs(t)
			for i, b := range p.blocks {
				if !b.runs() {
					continue
				}
				cmd := exec.Command("sh", "-eu", "-c", b.text)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"))
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				must.NoError(t, err, must.Sprintf("%s:%d: %s", b.file, b.line, stderr.String()))
				if i+1 < len(p.blocks) && slices.Equal(p.blocks[i+1].info, []string{"text", "output"}) {
					must.RegexMatch(t, outputPattern(p.blocks[i+1].text), string(out), must.Sprintf("%s:%d", b.file, b.line))
				}
			}
		})
	}
	must.Positive(t, ran)
}

func (b block) runs() bool { return slices.Equal(b.info, []string{"sh", "run"}) }

// outputPattern returns the regular expression for the output that a document shows.
func outputPattern(text string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".*") + "$")
}

// programs returns a directory with the programs that the blocks run, by their names on
// FreeBSD.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	must.NoError(t, err)
	must.NoError(t, os.Symlink(self, filepath.Join(dir, "pot")))
	must.NoError(t, os.Symlink(self, filepath.Join(dir, "skopeo")))
	signify, err := exec.LookPath("signify-openbsd") // Debian's name: signify is another program there
	need.Have(t, "signify", err == nil)
	must.NoError(t, os.Symlink(signify, filepath.Join(dir, "signify")))
	return dir
}

// Each message in docs/troubleshooting.md, in the first column of its tables, is in the
// sources. "…" in it stands for what the message is about.
func TestDocs_messages(t *testing.T) {
	said := messages(t)
	found := 0
	for _, p := range pages(t) {
		if p.file != "docs/troubleshooting.md" {
			continue
		}
		for line := range strings.Lines(p.prose) {
			cell, isRow := strings.CutPrefix(line, "| `")
			if !isRow {
				continue
			}
			found++
			message, _, _ := strings.Cut(cell, "` |")
			if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, message) }) {
				t.Errorf("%s: nothing says: %s", p.file, message)
			}
		}
	}
	must.Greater(t, 40, found)
}

var verbs = regexp.MustCompile(`%(\[\d+\])?[-+# 0]*[.0-9]*[a-zA-Z]`)

// messages returns the texts in the sources, each with … for its verbs.
func messages(t *testing.T) (all []string) {
	t.Helper()
	must.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(text, " ") {
					all = append(all, verbs.ReplaceAllString(text, "…"))
				}
			}
			return true
		})
		return nil
	}))
	return all
}
