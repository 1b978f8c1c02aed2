//go:build linux

package linux_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/linux"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/supervise"
)

// fillable returns pots whose state is on a small disk, the directory of that state, and a
// function that fills the disk until the function that it returns is called.
func fillable(t *testing.T) (open func() *life.Pots, dir string, fill func() (empty func())) {
	t.Helper()
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	program := hosttest.Build(t, supervisor)
	dir = t.TempDir()
	must.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m,nr_inodes=0"))
	t.Cleanup(func() { must.NoError(t, unix.Unmount(dir, 0)) })
	host, err := linux.New(dir, program)
	must.NoError(t, err)
	must.NoError(t, host.Images.Receive(t.Context(), "hello", xz.NewReader(bytes.NewReader(imagetest.Hello("")))))
	open = func() *life.Pots {
		return life.Open(host, potconf.Config{Dir: dir, Network: pot.DefaultNetwork, Supervisor: program})
	}
	return open, dir, func() func() {
		t.Helper()
		f, err := os.Create(filepath.Join(dir, "filler"))
		must.NoError(t, err)
		_, err = io.Copy(f, zeros{})
		must.ErrorIs(t, err, syscall.ENOSPC)
		must.NoError(t, f.Close())
		return func() { must.NoError(t, os.Remove(f.Name())) }
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// started returns a pot whose command runs until it is signalled.
func started(t *testing.T, pots *life.Pots) *life.Pot {
	t.Helper()
	p, err := pots.Create(t.Context(), pot.Spec{
		Name: "web", Image: "hello", Network: pot.NoNetwork, Command: []string{"/bin/hello", "sleep", "1h"},
		Labels: map[string]string{conf.LabelTask: "web"},
	})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, pots.Destroy(context.Background(), "web")) })
	must.NoError(t, p.Start(t.Context(), nil))
	return p
}

// told waits for a pot's end and checks that SIGTERM ended it.
func told(t *testing.T, p *life.Pot) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	end, err := p.Wait(ctx)
	must.NoError(t, err)
	must.Eq(t, int(syscall.SIGTERM), end.Signal)
	must.Eq(t, 128+int(syscall.SIGTERM), end.Code)
}

// The exit of a command that ends while the disk is full is reported to callers that wait
// and to callers that come later, and is recorded once there is room again.
func TestFullDisk_exit(t *testing.T) {
	leak.Check(t)
	open, dir, fill := fillable(t)
	record := filepath.Join(dir, "pots", "web", "exit.json")

	t.Run("the exit is reported while the disk is full, and recorded once there is room", func(t *testing.T) {
		p := started(t, open())
		waits := make(chan error, 1)
		go func() {
			_, err := p.Wait(t.Context())
			waits <- err
		}()
		empty := fill()
		must.NoError(t, p.Signal(syscall.SIGTERM))
		must.NoError(t, <-waits)
		for range 20 { // more than are announced at once
			told(t, p)
		}
		again, err := open().Find("web")
		must.NoError(t, err)
		told(t, again)
		eventually(t, func() bool { return errors.Is(again.Signal(0), supervise.ErrEnded) }) // told has read the announcements, which are renewed
		must.FileNotExists(t, record)
		must.NoError(t, again.Stop(t.Context(), syscall.SIGTERM, time.Minute))

		empty()
		eventually(t, func() bool { _, err := os.Stat(record); return err == nil })
		told(t, again)
	})
	t.Run("the pot can be destroyed while the disk is full, and its supervisor ends", func(t *testing.T) {
		p := started(t, open())
		s, err := supervise.Open(filepath.Join(dir, "pots", "web"))
		must.NoError(t, err)
		empty := fill()
		defer empty()
		must.NoError(t, p.Signal(syscall.SIGTERM))
		told(t, p)
		must.NoError(t, p.Destroy(t.Context()))
		eventually(t, func() bool { return errors.Is(syscall.Kill(s.Supervisor, 0), syscall.ESRCH) })
	})
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		must.True(t, time.Now().Before(deadline))
	}
}

// A record of a running pot that a crash has damaged prevents neither its stop nor its next
// start.
func TestDamagedRecords(t *testing.T) {
	leak.Check(t)
	open, dir, _ := fillable(t)
	for _, size := range []int64{0, 10} {
		pots, record := open(), filepath.Join(dir, "pots", "hello", "record.json")
		_, _, err := local.Start(t.Context(), pots, "hello", local.StartOptions{})
		must.NoError(t, err)
		must.NoError(t, os.Truncate(record, size))
		p, err := local.Running(t.Context(), pots, "hello")
		must.NoError(t, err)
		must.NotNil(t, p)
		stopped, err := local.Stop(t.Context(), pots, "hello", local.StartOptions{})
		must.NoError(t, err)
		must.True(t, stopped)
		must.FileNotExists(t, record)
	}
	_, err := os.Stat(filepath.Join(dir, "jails", "hello", "m", "bin", "hello")) // its tree stays
	must.NoError(t, err)
}
