package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// use is a file that uses a name, and the file that declares it; paths are relative
// to the module, with slashes.
type use struct{ from, to string }

// listed is a package as go list -json describes it.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	Module                  *struct{ Main bool }
}

// addUses type-checks the module in dir, as it is built for system without cgo, and
// adds what its files use of each other. Packages of other modules are read from the
// compiler's export data.
func addUses(found map[use]bool, dir, system string) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	// In the order of imports: a package is after all that it imports.
	all, err := list(root, system)
	if err != nil {
		return err
	}
	files, ours := token.NewFileSet(), map[string]*types.Package{}
	exports := map[string]string{}
	theirs := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	relative := func(pos token.Pos) string {
		rel, err := filepath.Rel(root, files.Position(pos).Filename)
		if err != nil {
			return ".."
		}
		return filepath.ToSlash(rel)
	}
	for _, p := range all {
		if p.Module == nil || !p.Module.Main {
			exports[p.ImportPath] = p.Export
			continue
		}
		var syntax []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			syntax = append(syntax, f)
		}
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		config := types.Config{Importer: imports(func(path string) (*types.Package, error) {
			if p := ours[path]; p != nil {
				return p, nil
			}
			return theirs.Import(path)
		})}
		if ours[p.ImportPath], err = config.Check(p.ImportPath, files, syntax, info); err != nil {
			return err
		}
		for name, object := range info.Uses {
			if object.Pkg() == nil || ours[object.Pkg().Path()] == nil || !object.Pos().IsValid() {
				continue
			}
			if u := (use{relative(name.Pos()), relative(object.Pos())}); u.from != u.to {
				found[u] = true
			}
		}
	}
	return nil
}

// imports is a function as a types.Importer.
type imports func(path string) (*types.Package, error)

// Import implements types.Importer.
func (f imports) Import(path string) (*types.Package, error) { return f(path) }

// list returns the packages of the module in root and all that they import.
func list(root, system string) (all []listed, err error) {
	cmd := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles,Module", "./...")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}
