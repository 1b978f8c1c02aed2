package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/version"
)

const port = "../packaging/freebsd-port/"

// gnuMake returns the name of GNU make here.
func gnuMake(t *testing.T) string {
	t.Helper()
	name := "make"
	if runtime.GOOS != "linux" {
		name = "gmake"
	}
	_, err := exec.LookPath(name)
	need.Have(t, name, err == nil)
	return name
}

// makeEnv returns the environment of a make(1) that a test starts, and env: without what a
// make(1) around the test hands to those below it, which FreeBSD's make(1) takes for its own.
func makeEnv(env ...string) []string {
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}, name)
	})
	return append(kept, env...)
}

// The list of files of the FreeBSD port is what make install installs.
func TestPort_plist(t *testing.T) {
	needSources(t)
	gnuMake(t)
	list := exec.Command("../packaging/plist.sh")
	list.Env = makeEnv()
	want, err := list.Output()
	must.NoError(t, err)
	must.StrContains(t, string(want), "bin/%%POT%%\n")
	have, err := os.ReadFile(port + "pkg-plist")
	must.NoError(t, err)
	must.Eq(t, string(want), string(have), must.Sprint("run make plist"))
}

// The port has the version of the sources, and CHANGELOG.md names it.
func TestPort_version(t *testing.T) {
	needSources(t)
	makefile, err := os.ReadFile(port + "Makefile")
	must.NoError(t, err)
	must.StrContains(t, string(makefile), "\nDISTVERSION=\t"+version.Number+"\n")
	changes, err := os.ReadFile("../CHANGELOG.md")
	must.NoError(t, err)
	must.StrContains(t, string(changes), version.Number)
}

// The port's Makefile is one that FreeBSD's make(1) reads, with both names of the command
// line. The ports tree is not there: what it would define is not looked at.
func TestPort_makefile(t *testing.T) {
	needSources(t)
	bsdMake := "bmake"
	if runtime.GOOS == "freebsd" {
		bsdMake = "make"
	}
	_, err := exec.LookPath(bsdMake)
	need.Have(t, bsdMake, err == nil)
	mk := t.TempDir()
	for _, file := range []string{"sys.mk", "bsd.port.mk"} {
		must.NoError(t, os.WriteFile(filepath.Join(mk, file), []byte("all:\n"), 0o600))
	}
	value := func(name string, variables ...string) string {
		args := append([]string{"-m", mk, "-V", "${" + name + "}"}, variables...)
		c := exec.Command(bsdMake, args...)
		c.Dir, c.Env = port, makeEnv()
		out, err := c.CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
		return strings.TrimSpace(string(out))
	}
	must.Eq(t, "nomad-driver-pot", value("PORTNAME"))
	must.Eq(t, version.Number, value("DISTVERSION"))
	must.Eq(t, "POT=nomad-pot", value("PLIST_SUB", "POT=nomad-pot"))
	must.StrContains(t, value("MAKE_ARGS", "POT=nomad-pot", "PREFIX=/opt"), "POT=nomad-pot PREFIX=/opt")
	targets := value("ALL_TARGET")
	must.Eq(t, "programs man", targets)
	text, err := os.ReadFile("../GNUmakefile")
	must.NoError(t, err)
	for _, target := range strings.Fields(targets) {
		must.StrContains(t, string(text), "\n"+target+":")
	}
}
