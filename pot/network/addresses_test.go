package network

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// subnet returns a network whose gateway is its first address.
func subnet(t *testing.T, prefix string) pot.Network {
	n, err := pot.ParseNetwork(prefix, "")
	must.NoError(t, err)
	return n
}

func newAddresses(t *testing.T) *Addresses {
	return &Addresses{Dir: filepath.Join(t.TempDir(), "addresses")}
}

func TestAddresses(t *testing.T) {
	leak.Check(t)
	t.Run("addresses in use are skipped", func(t *testing.T) {
		a, n := newAddresses(t), subnet(t, "10.0.0.0/29")
		others := InUse{Addrs: map[netip.Addr]bool{netip.MustParseAddr("10.0.0.2"): true, netip.MustParseAddr("10.0.0.4"): true}}
		for _, want := range []string{"10.0.0.3", "10.0.0.5", "10.0.0.6"} {
			addr, err := a.Allocate(t.Context(), pot.Name("p"+want[len(want)-1:]), n, others)
			must.NoError(t, err)
			must.Eq(t, want, addr.String())
		}
		_, err := a.Allocate(t.Context(), "p7", n, others)
		must.EqError(t, err, "no address is free in 10.0.0.0/29")
	})
	t.Run("a network in use is skipped", func(t *testing.T) {
		a, n := newAddresses(t), subnet(t, "10.0.0.0/28")
		private := subnet(t, "10.0.0.0/29")
		for range 7 { // .8 to .14
			addr, err := a.Allocate(t.Context(), "a", n, InUse{Networks: []netip.Prefix{private.Prefix}})
			must.NoError(t, err)
			must.False(t, private.Prefix.Contains(addr))
		}
		_, err := a.Allocate(t.Context(), "a", n, InUse{Networks: []netip.Prefix{private.Prefix}})
		must.EqError(t, err, "no address is free in 10.0.0.0/28")
		addr, err := a.Allocate(t.Context(), "a", private, InUse{})
		must.NoError(t, err)
		must.Eq(t, "10.0.0.2", addr.String())
	})
	t.Run("an address of another pot cannot be claimed", func(t *testing.T) {
		a := newAddresses(t)
		must.NoError(t, a.Claim(netip.MustParseAddr("2001:db8::1"), "a"))
		err := a.Claim(netip.MustParseAddr("2001:db8::1"), "b")
		must.ErrorIs(t, err, fs.ErrExist)
		must.ErrorContains(t, err, `address 2001:db8::1: pot "a" has it`)
		must.NoError(t, a.ReleaseByOwner("a"))
		must.NoError(t, a.Claim(netip.MustParseAddr("2001:db8::1"), "b"))
	})
	t.Run("addresses are allocated in order until none is free", func(t *testing.T) {
		a, n := newAddresses(t), subnet(t, "10.0.0.0/29") // .1 is the gateway, .7 is the broadcast
		var got []string
		for i := range 5 {
			addr, err := a.Allocate(t.Context(), pot.Name(fmt.Sprint("p", i)), n, InUse{})
			must.NoError(t, err)
			got = append(got, addr.String())
		}
		must.Eq(t, []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}, got)
		_, err := a.Allocate(t.Context(), "p5", n, InUse{})
		must.EqError(t, err, "no address is free in 10.0.0.0/29")

		must.NoError(t, a.Release(netip.MustParseAddr("10.0.0.3"), "p1"))
		must.NoError(t, a.Release(netip.MustParseAddr("10.0.0.3"), "p1"))
		addr, err := a.Allocate(t.Context(), "p6", n, InUse{})
		must.NoError(t, err)
		must.Eq(t, "10.0.0.3", addr.String())
	})
	t.Run("a released address is not allocated next", func(t *testing.T) {
		a, n := newAddresses(t), subnet(t, "10.0.0.0/24")
		first, err := a.Allocate(t.Context(), "a", n, InUse{})
		must.NoError(t, err)
		must.NoError(t, a.Release(first, "a"))
		second, err := a.Allocate(t.Context(), "b", n, InUse{})
		must.NoError(t, err)
		must.NotEq(t, first, second)
	})
	t.Run("the address of another pot is not released", func(t *testing.T) {
		a, n := newAddresses(t), subnet(t, "10.0.0.0/24")
		addr, err := a.Allocate(t.Context(), "a", n, InUse{})
		must.NoError(t, err)
		must.NoError(t, a.Release(addr, "b"))
		must.FileExists(t, filepath.Join(a.Dir, addr.String()))
		must.NoError(t, a.ReleaseByOwner("a"))
		must.FileNotExists(t, filepath.Join(a.Dir, addr.String()))
	})
	t.Run("two processes never allocate the same address", func(t *testing.T) {
		a, n := newAddresses(t), subnet(t, "10.0.0.0/24")
		b := &Addresses{Dir: a.Dir}
		var mu sync.Mutex
		taken := map[netip.Addr]bool{}
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				addr, err := []*Addresses{a, b}[i%2].Allocate(t.Context(), pot.Name(fmt.Sprint("p", i)), n, InUse{})
				mu.Lock()
				defer mu.Unlock()
				if err != nil || taken[addr] {
					t.Errorf("%s taken twice, or %v", addr, err)
				}
				taken[addr] = true
			})
		}
		wg.Wait()
	})
	t.Run("a changed network begins at its first address", func(t *testing.T) {
		a, n := newAddresses(t), subnet(t, "10.0.0.0/24")
		must.NoError(t, os.MkdirAll(a.Dir, 0o700))
		must.NoError(t, os.WriteFile(filepath.Join(a.Dir, lastFile(n)), []byte("192.168.0.9\n"), 0o600))
		addr, err := a.Allocate(t.Context(), "a", n, InUse{})
		must.NoError(t, err)
		must.Eq(t, "10.0.0.2", addr.String())
	})
	t.Run("Allocate returns when its context is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newAddresses(t).Allocate(ctx, "a", subnet(t, "10.0.0.0/24"), InUse{})
		must.ErrorIs(t, err, context.Canceled)
	})
}
