package hosttest

import (
	"context"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/supervise"
)

// joinedTo returns a pot that joins the network of another.
func joinedTo(of, name pot.Name, args ...string) pot.Spec {
	s := spec(name, args...)
	s.Network, s.Of = pot.Joined, of
	return s
}

// testJoined checks pots that have the network of another pot: the same address, the same
// loopback, and nothing else of it. Whichever is removed first, nothing is left.
func testJoined(t *testing.T, bed Bed) {
	s := spec("web", "serve", "127.0.0.1:8080")
	s.Network = pot.PublicBridge
	web := start(t, bed, s)
	web.says(t, "serving on")

	t.Run("a joined pot has the address of the other", func(t *testing.T) {
		side := start(t, bed, joinedTo("web", "side", "serve", ":9090"))
		side.says(t, "serving on")
		must.Eq(t, web.Address(), side.Address())
		must.StrContains(t, side.exec(t, "id"), web.Address().String()+"/10")
		must.StrContains(t, side.exec(t, "cat", "/etc/hosts"), web.Address().String()+" side\n")
		must.StrContains(t, ask(t, netip.AddrPortFrom(web.Address(), 9090).String()), "hello from side")
		must.StrContains(t, web.exec(t, "id"), "host web ")
	})
	t.Run("it has the other's loopback", func(t *testing.T) {
		side := start(t, bed, joinedTo("web", "side", "serve", "127.0.0.1:8080"))
		must.NotEq(t, 0, side.wait(t).Code)
		must.StrContains(t, side.output(t), "address already in use")
	})
	t.Run("it can be started again", func(t *testing.T) {
		for range 2 {
			side := start(t, bed, joinedTo("web", "side", "sleep", "1h"))
			if usage, err := side.Usage(t.Context()); err == nil { // the host may count nothing
				must.Between(t, 1, usage.Procs, 2)
			}
			must.NoError(t, side.Stop(t.Context(), syscall.SIGTERM, 0))
			must.NoError(t, side.Destroy(t.Context()))
		}
		must.True(t, web.Running())
	})
	t.Run("it ends with the other's jail, and can be destroyed after it", func(t *testing.T) {
		side := start(t, bed, joinedTo("web", "side", "sleep", "1h"))
		must.NoError(t, web.Stop(t.Context(), syscall.SIGTERM, 0))
		end := side.wait(t)
		must.Eq(t, int(syscall.SIGKILL), end.Signal)
		must.False(t, end.OutOfMemory)
		must.Eq(t, "web", side.KilledWith())
		must.Eq(t, "", web.KilledWith())
		must.NoError(t, web.Destroy(t.Context()))
	})
	t.Run("a pot that does not run cannot be joined", func(t *testing.T) {
		_, err := bed.pots().Create(t.Context(), joinedTo("web", "side2", "sleep", "1h"))
		must.ErrorIs(t, err, life.ErrCannotJoin)
	})
	t.Run("nor can a pot without a network of its own", func(t *testing.T) {
		start(t, bed, spec("none", "sleep", "1h"))
		_, err := bed.pots().Create(t.Context(), joinedTo("none", "side2", "sleep", "1h"))
		must.ErrorIs(t, err, life.ErrCannotJoin)
		must.ErrorContains(t, err, "its network is none")
	})
}

// testShared checks a network that belongs to none of the pots that have it.
func testShared(t *testing.T, bed Bed) {
	port := freePort(t)
	network := pot.Spec{
		Name: "net", Image: image, Bare: true, Network: pot.PublicBridge,
		Ports: []pot.Port{{Proto: conf.TCP, Host: port, To: 8080}},
	}
	join := func(t *testing.T, name pot.Name, args ...string) *life.Pot {
		p, err := bed.pots().CreateIn(t.Context(), joinedTo("net", name, args...), network)
		must.NoError(t, err)
		t.Cleanup(func() { must.NoError(t, p.Destroy(context.Background())) })
		must.NoError(t, p.Start(t.Context(), nil))
		return p
	}
	gone := func(t *testing.T) {
		_, err := bed.pots().Find("net")
		must.ErrorIs(t, err, fs.ErrNotExist)
	}
	answers := func(t *testing.T) {
		t.Helper()
		var text string
		var err error
		for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if text, err = tryAsk(port.String()); err == nil && strings.HasPrefix(text, "hello from ") {
				return
			}
		}
		t.Fatalf("port %s: %v, %q", port, err, text)
	}

	t.Run("the first makes it, and it goes with the last", func(t *testing.T) {
		a := join(t, "a", "serve", ":8080")
		b := join(t, "b", "sleep", "1h")
		must.Eq(t, a.Address(), b.Address())
		answers(t)
		must.NoError(t, a.Destroy(t.Context()))
		must.NoError(t, bed.pots().ReleaseNetwork(t.Context(), "net")) // it has a member
		c := join(t, "c", "serve", ":8080")
		must.Eq(t, b.Address(), c.Address())
		answers(t)
		must.NoError(t, b.Destroy(t.Context()))
		must.NoError(t, c.Destroy(t.Context()))
		gone(t)
	})
	t.Run("many join at once, and leave at once", func(t *testing.T) {
		done := make(chan error, 4) // none waits after a failure
		names := []pot.Name{"a", "b", "c", "d"}
		for _, name := range names {
			go func() {
				p, err := bed.pots().CreateIn(t.Context(), joinedTo("net", name, "sleep", "1h"), network)
				if err == nil {
					err = p.Destroy(t.Context())
				}
				done <- err
			}()
		}
		for range names {
			must.NoError(t, <-done)
		}
		gone(t)
	})
	t.Run("a pot that cannot be made leaves no network", func(t *testing.T) {
		s := joinedTo("net", "bad", "sleep", "1h")
		s.Mounts = []pot.Mount{{Source: "/nosuch/dir", Target: "/x"}}
		_, err := bed.pots().CreateIn(t.Context(), s, network)
		must.Error(t, err)
		gone(t)
	})
	t.Run("without its supervisor it is mended", func(t *testing.T) {
		a := join(t, "a", "serve", ":8080")
		answers(t)
		killSupervisor(t, bed, "net")
		must.NoError(t, bed.pots().MendNetwork(t.Context(), "net"))
		answers(t)
		must.True(t, a.Running())
	})
	t.Run("without its jail it is made again, and its pots end", func(t *testing.T) {
		a := join(t, "a", "sleep", "1h")
		must.NoError(t, bed.Host.Jails.Remove(t.Context(), "net"))
		b := join(t, "b", "serve", ":8080")
		answers(t)
		end, err := a.Wait(t.Context())
		must.NoError(t, err)
		must.Eq(t, int(syscall.SIGKILL), end.Signal)
		must.True(t, b.Running())
	})
	t.Run("with a damaged record of its supervisor it can be destroyed, and its port is free", func(t *testing.T) {
		join(t, "a", "sleep", "1h")
		must.NoError(t, os.WriteFile(bed.Dir+"/pots/net/running.json", []byte("{"), 0o600))
		must.NoError(t, bed.pots().Destroy(t.Context(), "net"))
		l, err := net.Listen("tcp", port.String())
		must.NoError(t, err)
		must.NoError(t, l.Close())
	})
	t.Run("it can be destroyed with its pots", func(t *testing.T) {
		a := join(t, "a", "sleep", "1h")
		must.NoError(t, bed.pots().Destroy(t.Context(), "net"))
		end, err := a.Wait(t.Context())
		must.NoError(t, err)
		must.Eq(t, int(syscall.SIGKILL), end.Signal)
	})
}

// killSupervisor kills the supervisor of a pot, and waits for its end.
func killSupervisor(t testing.TB, bed Bed, name pot.Name) {
	t.Helper()
	s, err := supervise.Open(bed.Dir + "/pots/" + string(name))
	must.NoError(t, err)
	must.NoError(t, syscall.Kill(s.Supervisor, syscall.SIGKILL))
	_, err = s.Wait(t.Context())
	must.ErrorIs(t, err, supervise.ErrUnknownExit)
}
