package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

// small is a module with a house: a uses b, which uses c and the package sub. c uses
// the d of each system, which use c, and on Linux e, which uses c. Nothing uses f.
var small = map[string]string{
	"go.mod":  "module small\n\ngo 1.26\n",
	"main.go": "package main\n\nfunc main() {}\n",
	"house/a.go": `// Package house is measured.
package house

// A is exported, and its comment is a line of its own.
func A() { // this one is not
	b()
}
`,
	"house/b.go":         "package house\n\nimport \"small/house/sub\"\n\nfunc b() T { return T{sub.Size} }\n",
	"house/c.go":         "package house\n\ntype T struct{ Size int }\n\nconst C, hidden = 1, 2\n\nfunc (t T) Exported() { t.d() }\n",
	"house/d_linux.go":   "package house\n\nfunc (t T) d() { e() }\n",
	"house/d_freebsd.go": "package house\n\nfunc (T) d() {}\n",
	"house/e.go":         "package house\n\n/* Two\nlines. */\nfunc e() { _ = T.Exported }\n",
	"house/f.go":         "package house\n\nvar F = `raw\ntext`\n",
	"house/sub/sub.go":   "package sub\n\nconst Size = 1\n",
	"house/b_test.go":    "package house\n\nfunc Helper() {}\n",

	"house/testdata/x.go":  "package x\n",
	"house/module/go.mod":  "module other\n",
	"house/module/main.go": "package main\n",
}

func TestTree(t *testing.T) {
	leak.Check(t)
	_, err := exec.LookPath("go")
	need.Have(t, "go", err == nil)
	dir := t.TempDir()
	for name, text := range small {
		file := filepath.Join(dir, name)
		must.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	var out strings.Builder
	must.NoError(t, write(&out, dir))
	must.Eq(t, strings.TrimPrefix(`
  files  lines  code  comment  ratio  test  exported  file 50%  90%  max  func 50%  90%  max  package
      1      3     2        0   0.00     0         0         3    3    3         1    1    1  .
      7     34    20        4   0.20     3         4         5    7    7         1    1    3  house
      1      3     2        0   0.00     0         1         3    3    3         0    0    0  house/sub
      9     40    24        4   0.17     3         5         4    7    7         1    1    3  all

  rooms  up  knot  arrows  back  house
      8   3     4       9     3  house

  longest  file or function
        3  main.go
        1  main.go:3 main
        7  house/a.go
        3  house/a.go:5 A
        3  house/sub/sub.go
`, "\n"), out.String())
}

// Cycles that share a room are one knot, and one room of the longest way up.
func TestSurvey(t *testing.T) {
	leak.Check(t)
	graph := map[string]map[string]bool{
		"a": {"b": true}, "b": {"c": true, "d": true}, "c": {"b": true}, "d": {"b": true, "e": true},
		"e": {"f": true}, "f": {}, "g": {"f": true, "b": true},
	}
	must.Eq(t, house{path: "x", rooms: 7, arrows: 9, up: 4, knot: 3, back: 2}, survey("x", graph))
}
