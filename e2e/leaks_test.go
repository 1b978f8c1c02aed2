package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// unchecked is the directory whose tests need not begin with leak.Check: tests with real
// agents look at the whole machine instead, and the tests' tools include leak itself.
const unchecked = "e2e"

// TestLeaks requires each test and each benchmark to begin with leak.Check. A test that
// runs beside others cannot; its package's TestMain looks for leaks instead. Each package
// needs a TestMain that calls leak.Run: without one its tests find the files that tests of
// other packages have in the shared directory for temporary files.
func TestLeaks(t *testing.T) {
	needSources(t)
	checked, parallel := 0, 0
	mains := map[string]bool{} // by directory: whether it has a TestMain
	must.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		below, _ := filepath.Rel("..", path)
		if below == unchecked {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		mains[filepath.Dir(below)] = mains[filepath.Dir(below)]
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Name.Name == "TestMain" {
				mains[filepath.Dir(below)] = true
			}
			if !ok || f.Recv != nil || f.Name.Name == "TestMain" ||
				!strings.HasPrefix(f.Name.Name, "Test") && !strings.HasPrefix(f.Name.Name, "Benchmark") {
				continue
			}
			switch first := firstCall(f); first {
			case "leak.Check":
				checked++
			case "t.Parallel":
				parallel++
			default:
				t.Errorf("%s: %s does not begin with leak.Check but with %q", below, f.Name.Name, first)
			}
		}
		return nil
	}))
	for dir, has := range mains {
		if !has {
			t.Errorf("%s: no TestMain, which leak.Run is for", dir)
		}
	}
	must.Greater(t, 250, checked)
	must.Less(t, 10, parallel)
}

// firstCall is what a function calls first, as in "leak.Check"; "" if that is no call.
func firstCall(f *ast.FuncDecl) string {
	if len(f.Body.List) == 0 {
		return ""
	}
	statement, ok := f.Body.List[0].(*ast.ExprStmt)
	if !ok {
		return ""
	}
	call, ok := statement.X.(*ast.CallExpr)
	if !ok {
		return ""
	}
	of, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, _ := of.X.(*ast.Ident)
	if pkg == nil {
		return ""
	}
	return pkg.Name + "." + of.Sel.Name
}
