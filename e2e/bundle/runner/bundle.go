//go:build linux || freebsd

package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// bundle is an unpacked bundle: bundle.sh writes it.
type bundle struct {
	dir      string
	results  string
	commit   string   // that it was built from, with dirtyMark if that was changed
	packages []string // with tests, by their directories
}

// openBundle reads the bundle in dir, and removes the results of the run before. A bundle
// for another system, or a part of one, is an error before any test runs.
func openBundle(dir string) (*bundle, error) {
	commit, err := os.ReadFile(filepath.Join(dir, "commit"))
	if err != nil {
		return nil, fmt.Errorf("%s: not a bundle: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pot", runtime.GOOS)); err != nil {
		return nil, fmt.Errorf("%s: not a bundle for %s: %w", dir, runtime.GOOS, err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "packages"))
	if err != nil {
		return nil, fmt.Errorf("%s: not a bundle: %w", dir, err)
	}
	b := &bundle{dir: dir, results: filepath.Join(dir, "results"), commit: strings.TrimSpace(string(commit)), packages: strings.Fields(string(list))}
	if err := os.RemoveAll(b.results); err != nil {
		return nil, err
	}
	return b, os.Mkdir(b.results, 0o755)
}

// step is a name of the command line, and what runs for it.
type step struct {
	name string
	runs []command
}

// command is a program of the bundle that runs in dir. Its working directory is the
// package's, where tests expect their testdata.
type command struct {
	name string // of its log
	dir  string
	argv []string
	kind kind
}

type kind int

const (
	tests      kind = iota // of a test binary
	benchmarks             // of a test binary
	program                // which succeeds or not
)

// alone are the packages that a step is for; step unit has all others.
var alone = map[string]string{"pot/" + runtime.GOOS: "host", "pot/cli": "cli", "driver": "driver", "e2e": "e2e"}

// order is the order of the steps. Cheap ones are first: a machine that lacks something
// fails early.
var order = []string{"unit", "host", "cli", "driver", "e2e", "demo", "bench"}

// testTimeout bounds a package's tests: an emulated machine is slow.
const testTimeout = "2h"

// steps returns the steps named, or all. Benchmarks run once each, which shows that they
// work and gives rough figures.
func (b *bundle) steps(names []string) ([]step, error) {
	if len(names) == 0 {
		names = order
	}
	var all []step
	for _, name := range names {
		if !slices.Contains(order, name) {
			return nil, fmt.Errorf("%w: %q", errUsage, name)
		}
		s := step{name: name}
		switch name {
		case "demo":
			bin := filepath.Join(b.dir, "bin")
			s.runs = []command{{name: "demo", dir: b.dir, argv: []string{filepath.Join(bin, "demo"), filepath.Join(bin, "nomad"), bin}, kind: program}}
		case "bench":
			for _, pkg := range []string{"pot/" + runtime.GOOS, "pot/cli"} {
				s.runs = append(s.runs, b.test(pkg, "bench", benchmarks, "-test.run", "^$", "-test.bench", ".", "-test.benchtime", "1x"))
			}
		default:
			for _, pkg := range b.packages {
				if cmp.Or(alone[pkg], "unit") == name {
					s.runs = append(s.runs, b.test(pkg, name, tests))
				}
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// test runs a package's test binary where its testdata is. test2json marks lines that
// package testing prints (see mark).
func (b *bundle) test(pkg, step string, k kind, flags ...string) command {
	log := step
	if k == benchmarks || step == "unit" {
		name := pkg
		if name == "." {
			name = "plugin"
		}
		log += "-" + strings.ReplaceAll(name, "/", "-")
	}
	dir := filepath.Join(b.dir, pkg)
	argv := append([]string{filepath.Join(dir, "test"), "-test.v=test2json", "-test.timeout", testTimeout}, flags...)
	return command{name: log, dir: dir, argv: argv, kind: k}
}
