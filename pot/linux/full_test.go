//go:build linux

package linux_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/linux"
	"nomad-driver-pot/pot/potconf"
)

// A start during which the disk becomes full, at whichever write, returns an error that
// says so and leaves nothing; with room it succeeds.
func TestFullDisk(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	program := hosttest.Build(t, supervisor)
	dir := t.TempDir()
	must.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m,nr_inodes=0"))
	t.Cleanup(func() { must.NoError(t, unix.Unmount(dir, 0)) })
	host, err := linux.New(dir, program)
	must.NoError(t, err)
	must.NoError(t, host.Images.Receive(t.Context(), "hello", xz.NewReader(bytes.NewReader(imagetest.Hello("")))))
	pots := life.Open(host, potconf.Config{Dir: dir, Network: pot.DefaultNetwork, Supervisor: program})
	out := filepath.Join(t.TempDir(), "out")
	must.NoError(t, os.WriteFile(out, nil, 0o600))
	life := func() error {
		p, err := pots.Create(t.Context(), pot.Spec{
			Name: "web", Image: "hello", Network: pot.PublicBridge, Command: []string{"/bin/hello", "sleep", "1h"}, Stdout: out,
			Mounts: []pot.Mount{{Source: filepath.Dir(out), Target: "/new/place"}}, Limits: pot.Limits{MemoryBytes: 64 << 20},
		})
		if err == nil {
			err = p.Start(t.Context(), nil)
			must.NoError(t, p.Stop(t.Context(), syscall.SIGTERM, 10*time.Second))
			must.NoError(t, p.Destroy(t.Context()))
		}
		return err
	}
	must.NoError(t, life()) // what stays, such as the directories of the layout, is there
	before, err := machine.Look(dir, "hello")
	must.NoError(t, err)

	filler, err := os.Create(filepath.Join(dir, "filler"))
	must.NoError(t, err)
	defer filler.Close()
	page := make([]byte, os.Getpagesize())
	failed, last := 0, error(nil)
	for room := int64(0); ; room++ {
		must.Less(t, 200, room, must.Sprint(last))
		_, err := filler.Seek(0, 2)
		must.NoError(t, err)
		for err == nil {
			_, err = filler.Write(page)
		}
		must.ErrorIs(t, err, syscall.ENOSPC)
		info, err := filler.Stat()
		must.NoError(t, err)
		must.NoError(t, filler.Truncate(info.Size()-room*int64(len(page))))
		last = life()
		after, err := machine.Look(dir, "hello")
		must.NoError(t, err)
		must.Eq(t, nil, after.Since(before), must.Sprintf("with room for %d pages: %v", room, last))
		if last == nil {
			break
		}
		must.True(t, errors.Is(last, syscall.ENOSPC), must.Sprint(last))
		failed++
	}
	must.Greater(t, 2, failed)
	must.NoError(t, pots.Destroy(context.Background(), "web"))
}
