//go:build linux

package linux

import (
	"net/netip"
	"os"
	"testing"

	"github.com/shoenig/test/must"
	"github.com/vishvananda/netlink"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
)

// A bridge that a killed process left without its alias is removed with the next pot; a
// bridge of another program stays.
func TestLinks_halfMade(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	add := func(name string) netlink.Link {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		must.NoError(t, netlink.LinkAdd(bridge))
		return bridge
	}
	add("pot77")
	others := add("pot_test0")
	t.Cleanup(func() { must.NoError(t, netlink.LinkDel(others)) })

	l := links{lock: t.TempDir() + "/lock", networks: new(networks)}
	must.NoError(t, l.Attach(t.Context(), pot.Link{
		Pot: "half", Address: netip.MustParsePrefix("10.192.0.9/10"), Gateway: pot.DefaultNetwork.Gateway,
	}))
	must.NoError(t, l.Detach(t.Context(), "half"))
	_, err := netlink.LinkByName("pot77")
	must.True(t, err != nil, must.Sprint("the bridge is still there"))
	_, err = netlink.LinkByName("pot_test0")
	must.NoError(t, err)
}
