//go:build linux || freebsd

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/need"
)

// read returns the results of a log that a test binary wrote.
func read(t *testing.T, file string) counted {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	must.NoError(t, err)
	var l testLog
	for line := range strings.Lines(string(data)) {
		l.add(strings.TrimSuffix(line, "\n"))
	}
	return l.tests()
}

func TestTestLog(t *testing.T) {
	t.Run("tests", func(t *testing.T) {
		c := read(t, "tests.log")
		must.Eq(t, []string{"TestSub/two", "TestOwn", "TestPanic/deep", "TestHangs/here (did not end)"}, c.failed)
		must.Eq(t, []skipped{{"TestSub/three", "needs zfs"}, {"TestPar/b", "no | b"}, {"TestSkip", "no reason given"}, {"TestScripts/guide", "needs FreeBSD"}}, c.skipped)
		must.Eq(t, 5, c.passed, must.Sprint("TestPass, TestSub/one, TestPar/a, TestOwn/fine, TestNoNL"))
	})
	t.Run("benchmarks", func(t *testing.T) {
		c := read(t, "bench.log")
		must.Eq(t, []string{"BenchmarkSub/bad"}, c.failed)
		must.Eq(t, []skipped{{"BenchmarkSub/two", "needs xz"}, {"BenchmarkSkip", "needs root"}}, c.skipped)
		must.Eq(t, 2, c.passed)
		must.Eq(t, []string{"Plain 0.9700 xwall"}, c.figures)
	})
}

// A bundle of shell scripts in place of test binaries: what they print and how they end
// is what the row says.
func TestBundle(t *testing.T) {
	dir := t.TempDir()
	write := func(file, text string) {
		t.Helper()
		at := filepath.Join(dir, file)
		must.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		must.NoError(t, os.WriteFile(at, []byte(text), 0o755))
	}
	host := "pot/" + runtime.GOOS
	_, err := openBundle(dir)
	must.ErrorContains(t, err, "not a bundle")
	write("commit", "fb981e2ab123\n")
	write("packages", "image\nimage/xz\npot/cli\n"+host+"\n")
	pass := "#!/bin/sh\nprintf '\\026=== RUN   TestA\\n\\026--- PASS: TestA (0.00s)\\n'\n"
	write("image/test", pass)
	write("image/xz/test", pass+"echo left behind >&2\nexit 1\n")
	write(host+"/test", "#!/bin/sh\ncase \"$*\" in\n*bench*) printf 'BenchmarkLife-2 1 5 ns/op 9 commands/op\\n' ;;\n*) printf '\\026=== RUN   TestA\\n\\026--- FAIL: TestA (0.00s)\\n'; exit 1 ;;\nesac\n")
	write("pot/cli/test", "#!/bin/sh\n[ $POT_BIN = "+dir+"/bin ] && sleep 3 &\nprintf '\\026=== RUN   TestA\\n    a.go:1: needs zfs\\n\\026--- SKIP: TestA (0.00s)\\nno newline'\n")
	write("bin/demo", "#!/bin/sh\nexit 3\n")
	b, err := openBundle(dir)
	must.NoError(t, err)

	_, err = b.steps([]string{"host", "frob"})
	must.ErrorIs(t, err, errUsage)
	steps, err := b.steps(nil)
	must.NoError(t, err)
	var out strings.Builder
	r := report{Date: time.Date(2026, 11, 27, 9, 5, 0, 0, time.UTC), Commit: b.commit, Release: "14.2-RELEASE", Arch: "amd64"}
	for _, s := range steps {
		r.Steps = append(r.Steps, b.runStep(s, &out))
	}
	must.Eq(t, `FAIL  unit    2 passed, 1 failed, 0 skipped
      failed: unit-image-xz: exit status 1, see results/unit-image-xz.log
FAIL  host    0 passed, 1 failed, 0 skipped
      failed: TestA: see results/host.log
ok    cli     0 passed, 0 failed, 1 skipped
      skipped: TestA: needs zfs
ok    driver  0 passed, 0 failed, 0 skipped
ok    e2e     0 passed, 0 failed, 0 skipped
FAIL  demo    0 passed, 1 failed, 0 skipped
      failed: demo: exit status 3, see results/demo.log
ok    bench   1 passed, 0 failed, 1 skipped
      skipped: TestA: needs zfs
`, out.String())
	must.Eq(t, `| 2026-11-27 09:05 | fb981e2ab123 | 14.2-RELEASE | amd64 | unit 2/1/0, host 0/1/0, cli 0/0/1, driver 0/0/0, e2e 0/0/0, demo 0/1/0, bench 1/0/1 | 3/3/2 | Life 9 commands/op |
- 2026-11-27 09:05 fb981e2ab123: unit: unit-image-xz: exit status 1, see results/unit-image-xz.log
- 2026-11-27 09:05 fb981e2ab123: host: TestA: see results/host.log
- 2026-11-27 09:05 fb981e2ab123: demo: demo: exit status 3, see results/demo.log
`, r.String())
	must.FileContains(t, filepath.Join(dir, "results/unit-image-xz.log"), "=== RUN   TestA\n--- PASS: TestA (0.00s)\nleft behind\n")
	must.FileContains(t, filepath.Join(dir, "results/cli.log"), "no newline")
}

func TestUplink(t *testing.T) {
	must.Eq(t, "vtnet0", uplink("   route to: default\n  interface: vtnet0\n      flags: <UP,GATEWAY>\n"))
	must.Eq(t, "", uplink("route: message\n"))
}

// Each line that bundle.sh builds a test binary of is a package with tests, the plugin's
// own at the top of the tree included.
func TestPackages(t *testing.T) {
	const root = "../../.."
	_, noModule := os.Stat(filepath.Join(root, "go.mod"))
	_, noGo := exec.LookPath("go")
	need.Have(t, "go", noModule == nil && noGo == nil)
	cmd := exec.Command(filepath.Join(root, "e2e/bundle/packages.sh"))
	cmd.Env = append(os.Environ(), "GOOS=freebsd")
	out, err := cmd.Output()
	must.NoError(t, err)
	packages := strings.Fields(string(out))
	must.SliceContainsSubset(t, packages, []string{".", "pot/freebsd", "e2e"})
	must.SliceNotContains(t, packages, "pot/linux")
	for _, pkg := range packages {
		tests, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
		must.NoError(t, err)
		must.SliceNotEmpty(t, tests, must.Sprint(pkg))
	}
}
