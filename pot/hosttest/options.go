package hosttest

import (
	"context"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// testPrivate checks pots on a private bridge. Its gateway is not one of its pots'
// addresses: potnet counts it among them, so that its bridge for six pots holds five.
func testPrivate(t *testing.T, bed Bed) {
	db, err := bed.pots().CreateBridge(t.Context(), "db", 5)
	must.NoError(t, err)
	t.Cleanup(func() { // when its pots are gone
		must.NoError(t, bed.pots().DestroyBridge(context.Background(), "db"))
		must.NoError(t, os.Remove(filepath.Join(bed.Dir, "bridges")))
	})

	port := freePort(t)
	s := spec("web", "serve", ":8080")
	s.Network, s.Bridge = pot.PrivateBridge, "db"
	s.Ports = []pot.Port{{Proto: conf.TCP, Host: port, To: 8080}}
	tk := start(t, bed, s)
	tk.says(t, "serving on")
	must.True(t, db.Prefix.Contains(tk.Address()), must.Sprint(tk.Address()))
	must.StrContains(t, ask(t, netip.AddrPortFrom(tk.Address(), 8080).String()), "hello from web")
	must.StrContains(t, ask(t, port.String()), "hello from web")

	// One too many fails with a reason, and takes no address of the public bridge.
	t.Run("a private bridge has as many addresses as it was created for", func(t *testing.T) {
		for _, name := range []pot.Name{"b", "c", "d", "e"} {
			more := spec(name, "sleep", "1h")
			more.Network, more.Bridge = pot.PrivateBridge, "db"
			create(t, bed, more)
		}
		more := spec("f", "sleep", "1h")
		more.Network, more.Bridge = pot.PrivateBridge, "db"
		_, err := bed.pots().Create(t.Context(), more)
		must.ErrorContains(t, err, "no address is free in "+db.Prefix.String())
	})
	// It is not created by the way: a mistyped name would be a network of its own.
	t.Run("a pot on a bridge that does not exist is refused", func(t *testing.T) {
		s := spec("x", "exit", "0")
		s.Network, s.Bridge = pot.PrivateBridge, "nosuch"
		_, err := bed.pots().Create(t.Context(), s)
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
}

// testAttributes checks the attributes that every host has, and the limit of a pot's run
// time. They are attributes of pot.conf, so that an image from pot behaves as it does
// there.
func testAttributes(t *testing.T, bed Bed) {
	// A clean shutdown, as of a database, needs the command alive.
	t.Run("exec_stop runs before the command is signalled", func(t *testing.T) {
		out := t.TempDir()
		s := spec("web", "signals")
		s.Mounts = []pot.Mount{{Source: out, Target: "/out"}}
		s.Attributes = conf.Attributes{"exec_stop": "/bin/hello write /out/stopped yes"}
		tk := start(t, bed, s)
		tk.says(t, "ready")
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGUSR2, 10*time.Second))
		must.Eq(t, 0, tk.wait(t).Code)
		must.FileContains(t, filepath.Join(out, "stopped"), "yes")
	})
	// jail(8) gave up on it, and pot then reported a pot as stopped whose processes ran on.
	t.Run("an exec_stop that hangs does not block a stop", func(t *testing.T) {
		s := spec("web", "sleep", "1h")
		s.Attributes = conf.Attributes{"exec_stop": "/bin/hello sleep 1h"}
		tk := start(t, bed, s)
		begun := time.Now()
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, 500*time.Millisecond))
		must.Less(t, 10*time.Second, time.Since(begun))
	})
	// pot's default for pots by hand; tasks have no-tmpfs, as pot prepare sets it.
	t.Run("without no-tmpfs, /tmp is in memory", func(t *testing.T) {
		s := spec("web", "sleep", "1h")
		s.Attributes = conf.Attributes{"no-tmpfs": "NO"}
		tk := start(t, bed, s)
		tk.exec(t, "write", "/tmp/x", "in memory")
		dir, err := bed.Host.Datasets.Dir(t.Context(), "web")
		must.NoError(t, err)
		device := func(path string) uint64 {
			info, err := os.Stat(path)
			must.NoError(t, err)
			return uint64(info.Sys().(*syscall.Stat_t).Dev)
		}
		must.NotEq(t, device(filepath.Join(dir, "m")), device(filepath.Join(dir, "m/tmp")))
		must.FileContains(t, filepath.Join(dir, "m/tmp/x"), "in memory")
	})
	// The supervisor enforces it: an agent may be down at that time.
	t.Run("a command that runs too long is killed and has timed out", func(t *testing.T) {
		s := spec("web", "sleep", "1h")
		s.WallClock = 300 * time.Millisecond
		end := start(t, bed, s).wait(t)
		must.True(t, end.TimedOut)
		must.False(t, end.OutOfMemory)
		must.Eq(t, int(syscall.SIGKILL), end.Signal)
	})
	t.Run("a command that ends in time has not timed out", func(t *testing.T) {
		s := spec("web", "exit", "3")
		s.WallClock = time.Minute
		end := start(t, bed, s).wait(t)
		must.False(t, end.TimedOut)
		must.Eq(t, 3, end.Code)
	})
}
