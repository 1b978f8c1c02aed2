package freebsd_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/run"
)

const supervisor = "nomad-driver-pot/pot/supervise/pot-supervisor"

// scratch are pots of this machine with a pool of their own, in a file.
func scratch(t testing.TB, r run.Runner) func(supervisor string) pot.Host {
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	dir := t.TempDir()
	root, remove, err := machine.Scratch(dir)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, remove()) })
	return func(program string) pot.Host {
		return freebsd.New(r, freebsd.Native{}, freebsd.Config{
			ZFSRoot: root, Network: pot.DefaultNetwork, Interface: os.Getenv("POT_TEST_EXTIF"),
			Supervisor: program, LockFile: filepath.Join(dir, "lock"),
		})
	}
}

func hello() io.Reader { return xz.NewReader(bytes.NewReader(imagetest.Hello(""))) }

// TestHost holds this machine to the contracts of pot.Host.
func TestHost(t *testing.T) {
	leak.Check(t)
	open := scratch(t, run.Host{})
	program := hosttest.Build(t, supervisor)
	hosttest.Run(t, func(t testing.TB) hosttest.Bed {
		state := t.TempDir()
		return hosttest.Bed{
			Host: open(program), Dir: state, Supervisor: program, Tick: time.Second,
			Stream: hello,
			State: func(t testing.TB) hosttest.State {
				s, err := machine.Look(state)
				must.NoError(t, err)
				return hosttest.State(s)
			},
		}
	})
}
