package freebsd_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/run"
)

// On this machine, a pot on a bridge that was there before has forwarding and a NAT rule,
// and Check reads what this release's pfctl(8) and ifconfig(8) print.
func TestRouting_host(t *testing.T) {
	leak.Check(t)
	open := scratch(t, run.Host{})
	uplink := os.Getenv("POT_TEST_EXTIF")
	need.Have(t, "uplink", uplink != "")
	_, err := os.Stat("/dev/pf")
	need.Have(t, "pf", err == nil)
	command := func(argv ...string) string {
		t.Helper()
		out, err := run.Host{}.Run(context.Background(), nil, argv...) // also at the end, when the test's is over
		must.NoError(t, err)
		return strings.TrimSpace(out)
	}
	taken := strings.Contains(command("ifconfig", "-a"), "inet "+pot.DefaultNetwork.Gateway.String()+" ")
	need.Have(t, "a gateway's address that no interface has", !taken)

	h := open(hosttest.Build(t, supervisor))
	must.NoError(t, h.Images.Receive(t.Context(), "hello", hello()))
	pots := life.Open(h, potconf.Config{Dir: t.TempDir(), Network: pot.DefaultNetwork, Supervisor: os.Args[0]})
	start := func(name pot.Name) {
		t.Helper()
		_, err := pots.Create(t.Context(), pot.Spec{Name: name, Image: "hello", Network: pot.PublicBridge})
		must.NoError(t, err)
		t.Cleanup(func() { must.NoError(t, pots.Destroy(context.Background(), name)) })
	}
	lacks := func(key string) (all []string) {
		for _, f := range h.Check(t.Context()) {
			if f.Severity != pot.Info && f.Key == key {
				all = append(all, f.Text)
			}
		}
		return all
	}

	// As rc.conf(5) creates one: with another netmask, and not in pot's group.
	bridge := command("ifconfig", "bridge", "create", "inet", pot.DefaultNetwork.Gateway.String()+"/24", "up")
	t.Cleanup(func() { command("ifconfig", bridge, "destroy") })
	was := command("sysctl", "-n", "net.inet.ip.forwarding")
	t.Cleanup(func() { command("sysctl", "net.inet.ip.forwarding="+was) })
	command("sysctl", "net.inet.ip.forwarding=0")
	command("pfctl", "-q", "-a", "pot-nat", "-F", "nat")

	must.SliceEmpty(t, lacks("uplink"))
	must.Len(t, 1, lacks("forwarding"))
	must.StrContains(t, strings.Join(lacks("pf"), "\n"), "pf has no NAT rule of pots")
	found := lacks("bridge")
	must.Len(t, 2, found)
	must.StrHasSuffix(t, "ifconfig "+bridge+" inet 10.192.0.1/10 alias", found[0])
	must.StrHasSuffix(t, "ifconfig "+bridge+" group pot", found[1])
	for _, f := range found { // what is said to mend it does
		_, mend, _ := strings.Cut(f, ": ")
		command(strings.Fields(mend)...)
	}
	must.SliceEmpty(t, lacks("bridge"))

	rule := "nat on " + uplink + " inet from 10.192.0.0/10 to any -> (" + uplink + ":0)"
	start("first")
	must.Eq(t, "1", command("sysctl", "-n", "net.inet.ip.forwarding"))
	must.Eq(t, rule, command("pfctl", "-a", "pot-nat", "-s", "nat"))
	must.SliceEmpty(t, lacks("forwarding"))
	must.StrNotContains(t, strings.Join(lacks("pf"), "\n"), "NAT rule")

	command("pfctl", "-q", "-a", "pot-nat", "-F", "nat")
	must.StrContains(t, strings.Join(lacks("pf"), "\n"), "pf has no NAT rule of pots")
	start("second")
	must.Eq(t, rule, command("pfctl", "-a", "pot-nat", "-s", "nat"))

	// A sysctl that this release does not have is told from one that is 0.
	_, err = freebsd.Native{}.Sysctl("net.link.bridge.nosuch")
	must.ErrorIs(t, err, os.ErrNotExist)
}
