package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

const module = "nomad-driver-pot"

// imports is the project: what each package may import of the others. It is the
// diagram that the layout follows, with the outermost first. "" is plugin.go.
var imports = map[string][]string{
	"":       {"driver", "pot/cli", "pot/native", "pot/supervise", "version"},
	"driver": {"flavour", "image", "image/conf", "image/fetch", "image/signify", "image/store", "pot", "pot/life", "pot/local", "pot/potconf", "pot/resolvconf", "pot/supervise", "pot/tree"},

	"driver/configdoc": {"driver"},

	"flavour":     {"pot", "pot/life", "pot/local", "pot/tree"},
	"pot/cli":     {"flavour", "image", "image/build", "image/conf", "image/fetch", "image/inspect", "image/oci", "image/push", "image/signify", "image/store", "image/xz", "image/zstream", "pot", "pot/life", "pot/local", "pot/native", "pot/network", "pot/potconf", "pot/supervise", "pot/tree", "schema", "version"},
	"pot/cli/man": {"pot/cli", "pot/potconf", "version"},

	"schema":  {},
	"version": {},

	"image":             {"image/conf", "image/skein", "image/signify", "image/xz"},
	"image/fetch":       {"image", "image/lockdir", "image/signify", "image/skein", "image/xz"},
	"image/store":       {"image", "image/build", "image/conf", "image/fetch", "image/lockdir", "image/oci", "image/zstream"},
	"image/build":       {"image", "image/conf", "image/lockdir", "image/skein", "image/xz", "image/zstream"},
	"image/oci":         {"image/conf", "image/xz", "image/zstream"},
	"image/oci/ocitest": {},
	"image/push":        {"image", "image/fetch", "image/lockdir", "image/signify", "image/skein"},
	"image/inspect":     {"image", "image/conf", "image/fetch", "image/signify", "image/zstream", "schema"},
	"image/conf":        {},
	"image/lockdir":     {},
	"image/imagetest":   {"image", "image/skein", "image/zstream"},
	"image/signify":     {},
	"image/skein":       {},
	"image/xz":          {},
	"image/zstream":     {},

	"pot":                          {"image/conf", "pot/tree", "pot/supervise"},
	"pot/life":                     {"image/conf", "pot", "pot/exact", "pot/flock", "pot/network", "pot/potconf", "pot/resolvconf", "pot/supervise", "pot/tree"},
	"pot/local":                    {"image/conf", "pot", "pot/life", "pot/resolvconf", "pot/tree"},
	"pot/network":                  {"pot", "pot/flock"},
	"pot/potconf":                  {"image/conf", "pot"},
	"pot/resolvconf":               {},
	"pot/tree":                     {},
	"pot/tree/treetest":            {},
	"pot/native":                   {"pot", "pot/freebsd", "pot/linux", "pot/potconf", "pot/run"},
	"pot/run":                      {},
	"pot/exact":                    {},
	"pot/flock":                    {},
	"pot/freebsd":                  {"image/conf", "pot", "pot/exact", "pot/flock", "pot/freebsd/zfs", "pot/potconf", "pot/resolvconf", "pot/run", "pot/supervise", "pot/supervise/nmount", "pot/tree"},
	"pot/supervise/nmount":         {"pot/exact"},
	"pot/freebsd/zfs":              {"pot/run"},
	"pot/linux":                    {"image/conf", "image/zstream", "pot", "pot/flock", "pot/resolvconf", "pot/supervise", "pot/supervise/inside", "pot/tree"},
	"pot/supervise/inside":         {},
	"pot/hosttest":                 {"e2e/need", "e2e/syncbuf", "image/build", "image/conf", "image/oci", "image/oci/ocitest", "image/zstream", "pot", "pot/life", "pot/local", "pot/potconf", "pot/supervise", "pot/tree"},
	"pot/supervise":                {"pot/exact"},
	"pot/supervise/pot-supervisor": {"pot/supervise", "pot/supervise/nmount", "pot/supervise/inside"},

	"e2e":               {}, // tests alone
	"e2e/bundle/runner": {},
	"e2e/cluster":       {"image", "image/build", "image/conf", "image/imagetest", "image/signify", "image/xz", "e2e/machine"},
	"e2e/demo":          {"e2e/cluster", "image/imagetest", "e2e/machine"},
	"e2e/report":        {"e2e/results"},
	"e2e/steps":         {},
	"e2e/tree":          {},

	// The tests' own tools.
	"e2e/base":    {},
	"e2e/bench":   {},
	"e2e/leak":    {},
	"e2e/machine": {"pot/run"},
	"e2e/need":    {},
	"e2e/results": {},
	"e2e/syncbuf": {},
}

func TestTree(t *testing.T) {
	needSources(t)
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../...").Output()
	must.NoError(t, err)
	own := func(path string) (string, bool) {
		if path == module {
			return "", true
		}
		return strings.CutPrefix(path, module+"/")
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg, _ := own(fields[0])
		allowed, known := imports[pkg]
		if !known {
			t.Errorf("package %q is not in the diagram: what is it, and who may import it?", pkg)
			continue
		}
		for _, path := range fields[1:] {
			if of, ours := own(path); ours && !slices.Contains(allowed, of) {
				t.Errorf("%q imports %q: the diagram does not have that", pkg, of)
			}
		}
	}
}

// TestSupervisor_isSmall keeps what stays resident for each task to the
// standard library.
func TestSupervisor_isSmall(t *testing.T) {
	needSources(t)
	out, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{end}}`,
		"../pot/supervise/pot-supervisor").Output()
	must.NoError(t, err)
	for _, path := range strings.Fields(string(out)) {
		must.StrHasPrefix(t, module+"/", path)
	}
}
