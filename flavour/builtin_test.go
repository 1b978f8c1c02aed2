package flavour

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/local"
)

func TestBuiltin(t *testing.T) {
	leak.Check(t)
	l := &Library{WorkDir: t.TempDir()}
	found, err := l.List()
	must.NoError(t, err)
	must.SliceNotEmpty(t, found)
	for _, f := range found {
		t.Run(f.Name+" is valid", func(t *testing.T) {
			all, err := l.Read(f.Name)
			must.NoError(t, err)
			if s := all[0].Script; s != nil {
				check := exec.Command("sh", "-n")
				check.Stdin = strings.NewReader(string(s.Data))
				out, err := check.CombinedOutput()
				must.NoError(t, err, must.Sprint(string(out)))
			}
		})
	}
	task, err := l.Read("task")
	must.NoError(t, err)
	must.Eq(t, []Step{
		{4, "set-attribute", local.SetAttribute{Name: "no-rc-script", Value: "YES"}},
		{5, "set-attribute", local.SetAttribute{Name: "persistent", Value: "NO"}},
	}, task[0].Steps)
}

// runBuiltin runs a built-in script with text of it replaced, so that it works in root and
// not in /. It finds tools, by name, before other programs.
func runBuiltin(t *testing.T, name, root string, tools map[string]string, replace ...string) (string, error) {
	t.Helper()
	all, err := (&Library{WorkDir: t.TempDir()}).Read(name)
	must.NoError(t, err)
	text := strings.NewReplacer(replace...).Replace(string(all[0].Script.Data))
	must.StrContains(t, text, root)
	bin := t.TempDir()
	for tool, script := range tools {
		must.NoError(t, os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+script), 0o755))
	}
	cmd := exec.Command("sh", "-s", "web")
	cmd.Stdin = strings.NewReader(text)
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// slim removes what a service does not need, and nothing else.
func TestBuiltin_slim(t *testing.T) {
	leak.Check(t)
	root := t.TempDir()
	for _, name := range []string{
		"bin/sh", "boot/kernel/kernel", "usr/bin/clang", "usr/bin/grep", "usr/include/stdio.h", "usr/lib/libc.a",
		"usr/lib/libc.so", "usr/local/bin/nginx", "usr/sbin/pkg", "usr/share/man/man1/ls.1.gz", "usr/share/zoneinfo/UTC",
		"usr/tests/x/y", "var/db/freebsd-update/f", "var/db/pkg/local.sqlite", "usr/lib32/libc.so", "rescue/sh",
	} {
		at := filepath.Join(root, name)
		must.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		must.NoError(t, os.WriteFile(at, nil, 0o644))
	}
	for range 2 { // it can be run twice
		out, err := runBuiltin(t, "slim", root, nil, "cd /\n", "cd "+root+"\n")
		must.NoError(t, err, must.Sprint(out))
	}
	var left []string
	must.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, name)
		}
		return err
	}))
	must.Eq(t, []string{
		"bin/sh", "usr/bin/grep", "usr/lib/libc.so", "usr/local/bin/nginx", "usr/sbin/pkg", "usr/share/zoneinfo/UTC",
		"var/db/pkg/local.sqlite",
	}, left)
	must.DirExists(t, filepath.Join(root, "boot"))
}

// fbsd-update installs updates if there are any, and removes what it has fetched.
func TestBuiltin_fbsdUpdate(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct {
		ready, log string
		ok         bool
	}{
		{"0", "fetch updatesready install", true},
		{"2", "fetch updatesready", true},
		{"1", "fetch updatesready", false},
	} {
		root := t.TempDir()
		must.NoError(t, os.MkdirAll(filepath.Join(root, "var/db/freebsd-update"), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(root, "var/db/freebsd-update/fetched"), nil, 0o644))
		out, err := runBuiltin(t, "fbsd-update", root, map[string]string{
			"freebsd-update": `echo "$1 $2" >> ` + root + `/log; [ "$2" != updatesready ] || exit ` + c.ready,
		}, "/var/db", root+"/var/db")
		must.Eq(t, c.ok, err == nil, must.Sprint(out))
		log, err := os.ReadFile(filepath.Join(root, "log"))
		must.NoError(t, err)
		must.Eq(t, "--not-running-from-cron "+strings.ReplaceAll(c.log, " ", "\n--not-running-from-cron ")+"\n", string(log))
		_, err = os.Stat(filepath.Join(root, "var/db/freebsd-update/fetched"))
		must.Eq(t, c.ok, os.IsNotExist(err))
	}
}

// pkg installs pkg(8) and then its catalogue, without questions.
func TestBuiltin_pkg(t *testing.T) {
	leak.Check(t)
	for fail, log := range map[string]string{"": "bootstrap yes\nupdate -q yes\n", "bootstrap": "bootstrap yes\n"} {
		root := t.TempDir()
		tool := map[string]string{"pkg": `echo "$* $ASSUME_ALWAYS_YES" >> ` + root + `/log; [ "$1" != "` + fail + `" ]`}
		_, err := runBuiltin(t, "pkg", root, tool, "set -eu", "set -eu # "+root)
		must.Eq(t, fail == "", err == nil)
		got, err := os.ReadFile(filepath.Join(root, "log"))
		must.NoError(t, err)
		must.Eq(t, log, string(got))
	}
}
