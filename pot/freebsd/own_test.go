package freebsd

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/local"
)

// zfsOf returns the commands that run zfs(8).
func zfsOf(commands []string) []string {
	return slices.DeleteFunc(slices.Clone(commands), func(c string) bool { return !strings.HasPrefix(c, "zfs ") })
}

// A pot that is started by hand has a dataset of its own, as the shell tool makes one:
// all commands but those of datasets are a task's pot's.
func TestStartOwn(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	h, pots := m.host(t)
	m.addDataset("tank/pot/fscomp/data")
	root := m.place("tank/pot/jails/web_1_0")
	must.NoError(t, os.WriteFile(root+"/conf/pot.conf", []byte("pot.type=single\npot.cmd=sh /etc/rc\nhost.hostname=\"web.example\"\n"+
		"pot.attr.procfs=YES\npot.attr.raw_sockets=NO\npot.rss.memory=64M\nnetwork_type=public-bridge\npot.stack=ipv4\nip=10.192.0.77\n"+
		"pot.export.ports=80:8080\n"), 0o644))
	s, err := local.Open(t.Context(), h, "web_1_0")
	must.NoError(t, err)
	must.NoError(t, s.Apply(t.Context(), local.MountIn{Dataset: "tank/pot/fscomp/data", Target: "/data", ReadOnly: true}))
	before := m.state()

	m.commands = nil
	p, already, err := local.Start(t.Context(), pots, "web_1_0", local.StartOptions{NoCommand: true})
	must.NoError(t, err)
	must.False(t, already)
	must.Eq(t, "10.192.0.77", p.Address().String())
	all := strings.Join(m.commands, "\n")
	for _, want := range []string{
		"nmount tmpfs " + root + "/m/tmp mode=1777", "nmount nullfs " + m.place("tank/pot/fscomp/data") + " " + root + "/m/data ro",
		"jail -c name=web_1_0 path=" + root + "/m persist host.hostname=web.example ",
		"rctl -a jail:web_1_0:memoryuse:", "ifconfig -j web_1_0 epair32659b inet 10.192.0.77/10 up", "pfctl -q -a pot-rdr/web_1_0 -f -",
		"nmount procfs " + root + "/m/proc",
	} {
		must.StrContains(t, all, want)
	}
	must.Eq(t, []string{"zfs get -Hp -s local -o property,value all tank/pot/jails/web_1_0"}, slices.Compact(zfsOf(m.commands)))

	_, already, err = local.Start(t.Context(), pots, "web_1_0", local.StartOptions{NoCommand: true})
	must.NoError(t, err)
	must.True(t, already)

	m.commands = nil
	must.NoError(t, p.Destroy(t.Context()))
	must.SliceEmpty(t, slices.Compact(zfsOf(m.commands)))
	for _, stays := range []string{"etc/hosts", "proc"} { // as with pot
		must.NoError(t, os.Remove(root+"/m/"+stays))
	}
	must.Eq(t, before, m.state())
}
