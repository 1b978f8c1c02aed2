//go:build linux

package linux_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/linux"
)

const supervisor = "nomad-driver-pot/pot/supervise/pot-supervisor"

func TestHost(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	program := hosttest.Build(t, supervisor)
	hosttest.Run(t, func(t testing.TB) hosttest.Bed { return bed(t, program) })
}

// The supervisor may be installed as a symbolic link.
func TestJails_linkedSupervisor(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	must.NoError(t, os.Symlink(hosttest.Build(t, supervisor), link))
	must.NoError(t, os.Mkdir(filepath.Join(dir, "m"), 0o755))
	host, err := linux.New(filepath.Join(dir, "state"), link)
	must.NoError(t, err)
	must.NoError(t, host.Jails.Create(t.Context(), pot.Jail{Name: "web", Root: filepath.Join(dir, "m"), Hostname: "web", Network: pot.HostNetwork}))
	must.NoError(t, host.Jails.Remove(t.Context(), "web"))
}

// bed returns the host in a directory of its own.
func bed(t testing.TB, program string) hosttest.Bed {
	leak.Check(t)
	dir := t.TempDir()
	host, err := linux.New(dir, program)
	must.NoError(t, err)
	return hosttest.Bed{
		Host: host, Dir: dir, Supervisor: program,
		Stream: func() io.Reader {
			return xz.NewReader(bytes.NewReader(imagetest.Hello("")))
		},
		State: func(t testing.TB) hosttest.State {
			s, err := machine.Look(dir)
			must.NoError(t, err)
			s["mount"] = slices.DeleteFunc(s["mount"], ofOtherTests)
			return hosttest.State(s)
		},
	}
}

// ofOtherTests reports whether a mount is in the temporary directory of another package's
// tests, which may run at the same time.
func ofOtherTests(mountpoint string) bool {
	ours := os.TempDir()
	return strings.HasPrefix(mountpoint, filepath.Dir(ours)+"/") && !strings.HasPrefix(mountpoint, ours+"/")
}

func TestNew(t *testing.T) {
	leak.Check(t)
	for _, dir := range []string{"", "relative", "/a,b", "/a:b", `/a\b`} {
		t.Run(fmt.Sprintf("%q is refused", dir), func(t *testing.T) {
			_, err := linux.New(dir, "/bin/true")
			must.ErrorContains(t, err, "state directory")
		})
	}
}
