//go:build linux

package linux_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/hosttest/leak"
	"nomad-driver-pot/pot/hosttest/machine"
	"nomad-driver-pot/pot/hosttest/need"
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

// bed is the host in a directory of its own.
func bed(t testing.TB, program string) hosttest.Bed {
	leak.Check(t)
	dir := t.TempDir()
	host, err := linux.New(dir, program)
	must.NoError(t, err)
	return hosttest.Bed{
		Host: host, Dir: dir, Supervisor: program,
		Stream: func() io.Reader {
			return image.NewXZReader(bytes.NewReader(imagetest.Hello("")))
		},
		State: func(t testing.TB) hosttest.State {
			s, err := machine.Look(dir)
			must.NoError(t, err)
			return hosttest.State(s)
		},
	}
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
