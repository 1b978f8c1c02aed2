package freebsd

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	needs "nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/run"
)

// What the model says of pf and of interfaces, asked of this machine.

// native is this machine without pots, whose uplink is interface.
func native(t *testing.T, uplink string) pot.Host {
	needs.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	return nativeOn(t, uplink)
}

// nativeOn is native for who has the machine alone already.
func nativeOn(t *testing.T, uplink string) pot.Host {
	return New(run.Host{}, Native{}, Config{
		Interface: uplink, Network: pot.DefaultNetwork, LockFile: filepath.Join(t.TempDir(), "lock"),
	})
}

func command(t *testing.T, stdin string, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also when the test is over
	defer cancel()
	out, err := run.Host{}.Run(ctx, strings.NewReader(stdin), argv...)
	must.NoError(t, err)
	return out
}

// anchorsThere are the anchors of pots that have rules.
func anchorsThere(t *testing.T) []string {
	out, err := run.Host{}.Run(t.Context(), nil, "pfctl", "-q", "-a", rdrAnchor, "-s", "Anchors")
	if err != nil {
		must.StrContains(t, err.Error(), "No such file or directory") // never had any
	}
	return strings.Fields(out)
}

// pfctl(8) takes the anchor of a pot of any name.
func TestNative_anchors(t *testing.T) {
	leak.Check(t)
	h := native(t, "lo0")
	needs.Have(t, "pf", havePF())
	before := anchorsThere(t)
	to := netip.MustParseAddr("198.18.0.5")
	for _, name := range oddNames {
		r := pot.Redirect{Pot: name, To: to, Ports: published(name).Ports, Anchor: h.Redirects.Anchor(name)}
		must.NoError(t, h.Redirects.Publish(t.Context(), r), must.Sprint(name))
		must.SliceContains(t, anchorsThere(t), r.Anchor)
		must.StrContains(t, command(t, "", "pfctl", "-q", "-P", "-a", r.Anchor, "-s", "nat"), "port = 53 -> 198.18.0.5 port 5353")
		if len(name)%2 == 0 {
			r = pot.Redirect{Pot: name} // its record is lost
		}
		must.NoError(t, h.Redirects.Withdraw(t.Context(), r), must.Sprint(name))
		must.NoError(t, h.Redirects.Withdraw(t.Context(), r), must.Sprint(name))
		must.Eq(t, before, anchorsThere(t), must.Sprint(name))
	}
}

// runPF has pf filter, with pot's anchors: as it is set up on this machine or, where it is
// off and has no rules, until the test ends.
func runPF(t *testing.T) {
	t.Helper()
	needs.Have(t, "pf", havePF())
	if strings.Contains(command(t, "", "pfctl", "-s", "info"), "Status: Enabled") {
		needs.Have(t, "pot's anchors in pf.conf", strings.Contains(command(t, "", "pfctl", "-s", "nat"), `rdr-anchor "pot-rdr/*"`))
		return
	}
	rules := func() string {
		return command(t, "", "pfctl", "-q", "-s", "nat") + command(t, "", "pfctl", "-q", "-s", "rules")
	}
	needs.Have(t, "pf without rules, or on", rules() == "")
	command(t, potLines, "pfctl", "-q", "-f", "-")
	t.Cleanup(func() { command(t, "", "pfctl", "-q", "-F", "nat") })
	command(t, "", "pfctl", "-q", "-e")
	t.Cleanup(func() { command(t, "", "pfctl", "-q", "-d") })
}

// The states of a pot's rdr rules end with the pot, those of another's do not.
func TestNative_states(t *testing.T) {
	leak.Check(t)
	const client, inside = "pottest_client", "198.18.0.2/30"
	needs.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	runPF(t)
	device := strings.TrimSpace(command(t, "", "ifconfig", "epair", "create", "inet", "198.18.0.1/30", "up"))
	t.Cleanup(func() { command(t, "", "ifconfig", device, "destroy") })
	h := nativeOn(t, device)
	command(t, "", "jail", "-c", "name="+client, "path=/", "persist", "vnet", "vnet.interface="+inner(device))
	t.Cleanup(func() { command(t, "", "jail", "-r", client) })
	command(t, "", "ifconfig", "-j", client, inner(device), "inet", inside, "up")
	jails, err := Native{}.Jails()
	must.NoError(t, err)
	must.SliceContains(t, jails, client)

	publish := func(name pot.Name, to string, port uint16) pot.Redirect {
		r := pot.Redirect{Pot: name, To: netip.MustParseAddr(to), Anchor: h.Redirects.Anchor(name), Ports: []pot.Port{
			{Proto: conf.UDP, Host: netip.AddrPortFrom(netip.IPv4Unspecified(), port), To: port},
		}}
		must.NoError(t, h.Redirects.Publish(t.Context(), r))
		t.Cleanup(func() { must.NoError(t, h.Redirects.Withdraw(context.Background(), r)) })
		command(t, "x", "jexec", client, "/usr/bin/nc", "-u", "-w", "1", "198.18.0.1", fmt.Sprint(port))
		return r
	}
	first, second := publish("pottest_one", "198.18.0.5", 20053), publish("pottest_two", "198.18.0.6", 20054)
	there := func() (first, second bool) {
		out := command(t, "", "pfctl", "-q", "-s", "states")
		return strings.Contains(out, "198.18.0.5:20053"), strings.Contains(out, "198.18.0.6:20054")
	}
	one, two := there()
	must.True(t, one && two, must.Sprint("no state was made: is pf enabled?"))

	// This is what does not do.
	command(t, "", "pfctl", "-q", "-k", "0.0.0.0/0", "-k", first.To.String())
	one, _ = there()
	must.True(t, one, must.Sprint("pfctl -k compares what is on the wire"))

	must.NoError(t, h.Redirects.Withdraw(t.Context(), first))
	one, two = there()
	must.False(t, one)
	must.True(t, two)
	must.NoError(t, h.Redirects.Withdraw(t.Context(), second))
	_, two = there()
	must.False(t, two)
}

// What an ifconfig(8) that was killed has left is found by its unit.
func TestNative_halfMade(t *testing.T) {
	leak.Check(t)
	h := native(t, "")
	interfaces := func() []string {
		all := strings.Fields(command(t, "", "ifconfig", "-l"))
		slices.Sort(all)
		return all
	}
	before := interfaces()
	link := pot.Link{Pot: "pottest_half", Address: netip.MustParsePrefix("10.192.0.9/10"), Gateway: pot.DefaultNetwork.Gateway}
	units := unitsOf(string(link.Pot))
	left := fmt.Sprint("epair", units[0])
	must.Eq(t, left+"a", strings.TrimSpace(command(t, "", "ifconfig", left, "create")))
	_, err := run.Host{}.Run(t.Context(), nil, "ifconfig", left, "create")
	must.ErrorContains(t, err, "interface "+left+" already exists")

	must.NoError(t, h.Links.Attach(t.Context(), link))
	must.SliceContains(t, interfaces(), fmt.Sprint("epair", units[1], "a"))
	must.NoError(t, h.Links.Detach(t.Context(), link.Pot))
	must.Eq(t, before, interfaces())
}
