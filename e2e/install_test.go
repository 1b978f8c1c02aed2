package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// What make install puts below PREFIX works there: the command line finds its supervisor, and
// shells and man(1) find their files.
func TestInstall(t *testing.T) {
	needSources(t)
	gnu := gnuMake(t)
	dir := t.TempDir()
	install := func() *exec.Cmd {
		c := exec.Command(gnu, "-s", "install", "BIN="+filepath.Join(dir, "bin"), "DESTDIR="+filepath.Join(dir, "root"), "PREFIX=/opt/x")
		c.Dir, c.Env = "..", makeEnv()
		return c
	}
	out, err := install().CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	root := filepath.Join(dir, "root/opt/x")
	for _, file := range []string{
		"libexec/nomad/plugins/nomad-driver-pot", "libexec/nomad/plugins/pot-supervisor",
		"share/man/man1/pot.1", "share/man/man1/pot-image-push.1",
		"share/bash-completion/completions/pot", "share/zsh/site-functions/_pot", "share/fish/vendor_completions.d/pot.fish",
		"share/doc/nomad-driver-pot/json.md",
	} {
		info, err := os.Stat(filepath.Join(root, file))
		must.NoError(t, err)
		must.Positive(t, info.Size(), must.Sprint(file))
	}
	examples, err := filepath.Glob(filepath.Join(root, "share/examples/nomad-driver-pot/*.hcl"))
	must.NoError(t, err)
	must.Greater(t, 3, len(examples))

	out, err = exec.Command(filepath.Join(root, "bin/pot"), "version").Output()
	must.NoError(t, err)
	must.StrHasPrefix(t, "pot ", string(out))
	checked, _ := exec.Command(filepath.Join(root, "bin/pot"), "doctor").Output() // the host may lack other things
	must.StrNotContains(t, string(checked), "supervisor")

	must.NoError(t, os.Remove(filepath.Join(root, "bin/pot")))
	must.NoError(t, os.WriteFile(filepath.Join(root, "bin/pot"), []byte("#!/bin/sh\n"), 0o755))
	out, err = install().CombinedOutput()
	must.Error(t, err, must.Sprint("the shell tool's pot stays"))
	must.StrContains(t, string(out), "is another program: choose a name with POT=NAME")
}
