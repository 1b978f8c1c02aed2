//go:build linux || freebsd

// Runner runs the tests of a bundle on this host, as root, and counts them: it needs
// nothing but the bundle and the host's base system. It prints a line for each step, the
// name of each test that failed, why tests were skipped, and a row for e2e/SEEN.md.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const usage = "usage: run [unit|host|cli|driver|e2e|demo|bench]...; all of them if none is named"

func main() {
	switch ok, err := run(os.Args[1:]); {
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "run: %v\n%s\n", err, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "run: %v\n", err)
		os.Exit(1)
	case !ok:
		os.Exit(1)
	}
}

// errUsage ends the program with status 2, as usage errors of pot do.
var errUsage = errors.New("no such step")

// run reports whether all tests of the steps passed. A failed step does not keep the next
// from running. err is for what is not a test's result.
func run(names []string) (ok bool, err error) {
	if os.Geteuid() != 0 {
		return false, errors.New("must be root")
	}
	program, err := os.Executable()
	if err != nil {
		return false, err
	}
	b, err := openBundle(filepath.Dir(filepath.Dir(program)))
	if err != nil {
		return false, err
	}
	steps, err := b.steps(names)
	if err != nil {
		return false, err
	}
	prepareHost()
	if err := describeHost(b.results); err != nil {
		return false, err
	}
	report := report{Date: time.Now().UTC(), Commit: b.commit, Release: release(), Arch: runtime.GOARCH}
	for _, s := range steps {
		report.Steps = append(report.Steps, b.runStep(s, os.Stdout))
		// A machine that is switched off in a later step has the row of those that ended.
		if err := os.WriteFile(filepath.Join(b.results, "seen.md"), []byte(report.String()), 0o644); err != nil {
			return false, err
		}
	}
	fmt.Print("\n" + report.String())
	return report.failed() == 0, nil
}

// release is the kernel's: uname -r.
func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return strings.TrimRight(string(u.Release[:]), "\x00")
}
