package life

import (
	"net/netip"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
)

func TestPot_claimRequested(t *testing.T) {
	leak.Check(t)
	ps := Open(pot.Host{}, potconf.Config{Dir: t.TempDir(), Network: pot.DefaultNetwork})
	claim := func(name pot.Name, addr string) error {
		p := ps.pot(name)
		p.record.Spec.Address, p.record.Network = netip.MustParseAddr(addr), pot.DefaultNetwork
		return p.claimRequested()
	}
	must.NoError(t, claim("a", "10.192.0.7"))
	must.ErrorIs(t, claim("b", "10.192.0.7"), os.ErrExist)
	for _, addr := range []string{"10.192.0.0", "10.192.0.1", "10.255.255.255", "192.0.2.1"} {
		must.EqError(t, claim("c", addr), "address "+addr+": not available to pots in network 10.192.0.0/10")
	}
}
