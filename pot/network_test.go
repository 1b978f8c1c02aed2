package pot

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/shoenig/test/must"
)

func TestParseNetwork(t *testing.T) {
	for name, c := range map[string]struct{ prefix, gateway, want string }{
		"pot's own":                     {"10.192.0.0/10", "10.192.0.1", ""},
		"no gateway is the first":       {"10.0.0.0/24", "", ""},
		"host bits do not matter":       {"10.0.0.7/24", "10.0.0.1", ""},
		"no network":                    {"10.0.0.0", "", `network: must be as in 10.192.0.0/10, not "10.0.0.0"`},
		"IPv6":                          {"fd00::/64", "", "network: must be IPv4, not fd00::/64"},
		"no room":                       {"10.0.0.0/31", "", "network: 10.0.0.0/31 has no room for pots"},
		"a gateway outside":             {"10.0.0.0/24", "10.0.1.1", `gateway: must be a host address in 10.0.0.0/24, not "10.0.1.1"`},
		"a gateway that is the network": {"10.0.0.0/24", "10.0.0.0", `gateway: must be a host address in 10.0.0.0/24, not "10.0.0.0"`},
		"a gateway that is for all":     {"10.0.0.0/24", "10.0.0.255", `gateway: must be a host address in 10.0.0.0/24, not "10.0.0.255"`},
		"a gateway that is no address":  {"10.0.0.0/24", "gw", `gateway: must be a host address in 10.0.0.0/24, not "gw"`},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := ParseNetwork(c.prefix, c.gateway)
			if c.want != "" {
				must.EqError(t, err, c.want)
				return
			}
			must.NoError(t, err)
			must.True(t, n.Prefix.Contains(n.Gateway))
		})
	}
}

func newAddresses(t *testing.T, prefix string) *addresses {
	n, err := ParseNetwork(prefix, "")
	must.NoError(t, err)
	return &addresses{dir: filepath.Join(t.TempDir(), "addresses"), net: n}
}

func TestAddresses(t *testing.T) {
	t.Run("what others have is passed over", func(t *testing.T) {
		a := newAddresses(t, "10.0.0.0/29")
		others := map[netip.Addr]bool{netip.MustParseAddr("10.0.0.2"): true, netip.MustParseAddr("10.0.0.4"): true}
		for _, want := range []string{"10.0.0.3", "10.0.0.5", "10.0.0.6"} {
			addr, err := a.take(t.Context(), Name("p"+want[len(want)-1:]), others)
			must.NoError(t, err)
			must.Eq(t, want, addr.String())
		}
		_, err := a.take(t.Context(), "p7", others)
		must.EqError(t, err, "no address is free in 10.0.0.0/29")
	})
	t.Run("they go round, and end", func(t *testing.T) {
		a := newAddresses(t, "10.0.0.0/29") // .1 is the gateway, .7 is for all
		var got []string
		for i := range 5 {
			addr, err := a.take(t.Context(), Name(fmt.Sprint("p", i)), nil)
			must.NoError(t, err)
			got = append(got, addr.String())
		}
		must.Eq(t, []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}, got)
		_, err := a.take(t.Context(), "p5", nil)
		must.EqError(t, err, "no address is free in 10.0.0.0/29")

		must.NoError(t, a.release(netip.MustParseAddr("10.0.0.3"), "p1"))
		must.NoError(t, a.release(netip.MustParseAddr("10.0.0.3"), "p1"))
		addr, err := a.take(t.Context(), "p6", nil)
		must.NoError(t, err)
		must.Eq(t, "10.0.0.3", addr.String())
	})
	t.Run("one that was given back is the last to be given again", func(t *testing.T) {
		a := newAddresses(t, "10.0.0.0/24")
		first, err := a.take(t.Context(), "a", nil)
		must.NoError(t, err)
		must.NoError(t, a.release(first, "a"))
		second, err := a.take(t.Context(), "b", nil)
		must.NoError(t, err)
		must.NotEq(t, first, second)
	})
	t.Run("another's is not given back", func(t *testing.T) {
		a := newAddresses(t, "10.0.0.0/24")
		addr, err := a.take(t.Context(), "a", nil)
		must.NoError(t, err)
		must.NoError(t, a.release(addr, "b"))
		must.FileExists(t, filepath.Join(a.dir, addr.String()))
		must.NoError(t, a.releaseAll("a"))
		must.FileNotExists(t, filepath.Join(a.dir, addr.String()))
	})
	t.Run("two processes take no address twice", func(t *testing.T) {
		a := newAddresses(t, "10.0.0.0/24")
		b := &addresses{dir: a.dir, net: a.net}
		var mu sync.Mutex
		taken := map[netip.Addr]bool{}
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				addr, err := []*addresses{a, b}[i%2].take(t.Context(), Name(fmt.Sprint("p", i)), nil)
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
	t.Run("a network that was changed begins anew", func(t *testing.T) {
		a := newAddresses(t, "10.0.0.0/24")
		must.NoError(t, os.MkdirAll(a.dir, 0o700))
		must.NoError(t, os.WriteFile(filepath.Join(a.dir, lastFile), []byte("192.168.0.9\n"), 0o600))
		addr, err := a.take(t.Context(), "a", nil)
		must.NoError(t, err)
		must.Eq(t, "10.0.0.2", addr.String())
	})
	t.Run("taking ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newAddresses(t, "10.0.0.0/24").take(ctx, "a", nil)
		must.ErrorIs(t, err, context.Canceled)
	})
}
