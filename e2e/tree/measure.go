package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pkg is a directory with Go files, of all systems and build tags.
type pkg struct {
	path                 string // relative to the module, with slashes; "" is the module's own
	lines, code, comment int
	test                 int // lines of its tests
	exported             int
	files, functions     []extent
}

// extent is a file or a function.
type extent struct {
	where string // file, or file:line and name
	lines int
}

func (p *pkg) add(q pkg) {
	p.lines, p.code, p.comment = p.lines+q.lines, p.code+q.code, p.comment+q.comment
	p.test, p.exported = p.test+q.test, p.exported+q.exported
	p.files, p.functions = append(p.files, q.files...), append(p.functions, q.functions...)
}

// measure returns the packages of the module in dir, sorted by path. It ignores
// testdata, and modules within the module.
func measure(dir string) ([]pkg, error) {
	found := map[string]*pkg{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && file != dir {
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			if entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") || err == nil {
				return fs.SkipDir
			}
		}
		if entry.IsDir() || filepath.Ext(file) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		path := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(rel)), ".")
		if found[path] == nil {
			found[path] = &pkg{path: path}
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return found[path].addFile(filepath.ToSlash(rel), source)
	})
	var all []pkg
	for _, path := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[path])
	}
	return all, err
}

// addFile adds what source holds; name is its path in the module.
func (p *pkg) addFile(name string, source []byte) error {
	files := token.NewFileSet()
	syntax, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	file := files.File(syntax.Pos())
	lines := strings.Count(string(source), "\n")
	if strings.HasSuffix(name, "_test.go") {
		p.test += lines
		return nil
	}
	code, comment, err := countLines(name, source)
	p.lines, p.code, p.comment = p.lines+lines, p.code+code, p.comment+comment
	p.files = append(p.files, extent{name, lines})
	for _, d := range syntax.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			p.exported += exportedOf(d)
			continue
		}
		if f.Recv == nil && f.Name.IsExported() {
			p.exported++
		}
		first, last := file.Line(f.Pos()), file.Line(f.End())
		p.functions = append(p.functions, extent{fmt.Sprintf("%s:%d %s", name, first, f.Name.Name), last - first + 1})
	}
	return err
}

// exportedOf counts the exported names of a declaration that is no function's.
func exportedOf(d ast.Decl) (n int) {
	for _, spec := range d.(*ast.GenDecl).Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				n++
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() {
					n++
				}
			}
		}
	}
	return n
}

// countLines returns how many lines have code, and how many have only a comment.
func countLines(name string, source []byte) (code, comment int, err error) {
	file := token.NewFileSet().AddFile(name, -1, len(source))
	var s scanner.Scanner
	var errs scanner.ErrorList
	s.Init(file, source, errs.Add, scanner.ScanComments)
	const isComment, isCode = 1, 2
	lines := map[int]int{}
	for {
		pos, t, text := s.Scan()
		if t == token.EOF {
			break
		}
		kind := isCode
		if t == token.COMMENT {
			kind = isComment
		} else if t == token.SEMICOLON && text == "\n" {
			continue // inserted
		}
		first := file.Line(pos)
		for line := first; line <= first+strings.Count(text, "\n"); line++ {
			lines[line] = max(lines[line], kind)
		}
	}
	for _, kind := range lines {
		switch kind {
		case isCode:
			code++
		case isComment:
			comment++
		}
	}
	return code, comment, errors.Join(errs.Err())
}
