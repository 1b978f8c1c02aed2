//go:build linux

package linux

import (
	"net/netip"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// Options that only FreeBSD has are refused by name.
func TestUnsupported(t *testing.T) {
	leak.Check(t)
	for name, call := range map[string]func() error{
		"attribute mlock=YES": func() error {
			return supported(pot.Jail{Attributes: conf.Attributes{"mlock": "YES", "children": "0"}})
		},
		"the host's network with ipv6 alone": func() error { return supported(pot.Jail{Network: pot.HostNetwork, Stack: pot.IPv6}) },
		"limits of open files, and of reads and writes": func() error {
			return newLimiter(t.TempDir()).Set(t.Context(), "x", pot.Limits{OpenFiles: 1})
		},
		"a quota of 1048576 bytes": func() error {
			_, err := datasets{dir: t.TempDir()}.Clone(t.Context(), pot.Clone{Origin: "i", Name: "x", QuotaBytes: 1 << 20})
			return err
		},
		"IPv6 on a bridge": func() error {
			return links{}.Attach(t.Context(), pot.Link{Pot: "x", IPv6: true, Address: netip.MustParsePrefix("10.192.0.2/10")})
		},
	} {
		err := call()
		must.ErrorIs(t, err, pot.ErrUnsupported)
		must.ErrorContains(t, err, name+": not supported on this host")
	}
	must.NoError(t, supported(pot.Jail{Attributes: conf.Attributes{"exec_stop": "x", "no-tmpfs": "NO", "zfs": "NO"}}))
}
