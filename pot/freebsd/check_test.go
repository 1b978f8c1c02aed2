package freebsd

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/run"
)

// A finding about a missing part says how to fix it.
func TestCheck(t *testing.T) {
	leak.Check(t)
	h, _ := newModel(t).host(t)
	if os.Geteuid() != 0 {
		must.StrContains(t, h.Check(t.Context())[1].Text, "run the Nomad agent as root")
		return
	}
	for name, tc := range map[string]struct {
		answers map[string]run.Answer
		weight  pot.Severity
		want    string
	}{
		"a dataset": {map[string]run.Answer{"zfs list -Hp -o mounted,available tank/pot/jails": {
			Err: &run.Error{Argv: []string{"zfs"}, Code: 1, Stderr: "cannot open 'tank/pot/jails': dataset does not exist"}}},
			pot.Fatal, "tank/pot/jails is not there: zfs create -p tank/pot/jails"},
		"a dataset that is mounted": {map[string]run.Answer{"zfs list -Hp -o mounted,available tank/pot/jails": {Stdout: "no\t1\n"}},
			pot.Fatal, "tank/pot/jails is not mounted: zfs mount tank/pot/jails"},
		"a pool without faults": {map[string]run.Answer{zpoolGet: {Stdout: "tank\thealth\tDEGRADED\t-\n"}},
			pot.Degraded, "pool tank is DEGRADED: zpool status tank"},
		"a pool that can be written to": {map[string]run.Answer{zpoolGet: {Stdout: "tank\thealth\tSUSPENDED\t-\n"}},
			pot.Fatal, "pool tank is SUSPENDED: zpool status tank"},
		"room": {map[string]run.Answer{"zfs list -Hp -o mounted,available tank/pot/jails": {Stdout: "yes\t1048576\n"}},
			pot.Fatal, "tank/pot/jails has only 1048576 bytes left"},
		"a devfs ruleset": {map[string]run.Answer{"devfs rule -s 4 show": {}},
			pot.Fatal, "devfs ruleset 4 is not there: service devfs restart"},
	} {
		t.Run("it lacks "+name, func(t *testing.T) {
			c, log := healthy(t)
			for _, key := range []string{"release", "vnet", "osreldate"} {
				must.True(t, slices.ContainsFunc(c.check(t.Context()), func(f pot.CheckResult) bool { return f.Key == key && f.Text != "" }), must.Sprint(key))
			}
			must.False(t, slices.ContainsFunc(c.check(t.Context()), func(f pot.CheckResult) bool { return f.Severity != pot.Info }))
			for line, a := range tc.answers {
				log.Answers[line] = a
			}
			must.True(t, slices.ContainsFunc(c.check(t.Context()), func(f pot.CheckResult) bool {
				return f.Severity == tc.weight && strings.Contains(f.Text, tc.want)
			}), must.Sprint(c.check(t.Context())))
		})
	}
}

// healthy is a checker of a host that lacks nothing, and the log that answers it.
func healthy(t testing.TB) (checker, *run.Log) {
	m := newModel(t)
	m.set(forwarding, 1)
	interfaces, err := os.ReadFile("testdata/ifconfig.txt")
	must.NoError(t, err)
	log := &run.Log{Answers: map[string]run.Answer{
		"zfs list -Hp -o mounted,available tank/pot/jails": {Stdout: "yes\t10737418240\n"},
		"devfs rule -s 4 show":                             {Stdout: "100 include 1\n"},
		zpoolGet:                                           {Stdout: "tank\thealth\tONLINE\t-\n"},
		"ifconfig -a":                                      {Stdout: string(interfaces)},
		"pfctl -s info":                                    {Stdout: "Status: Enabled for 0 days 00:01:02           Debug: Urgent\n\n"},
		"pfctl -s nat":                                     {Stdout: "nat-anchor \"pot-nat\" all\nrdr-anchor \"pot-rdr/*\" all\n"},
		"pfctl -a pot-nat -s nat":                          {Stdout: "nat on vtnet0 inet from 10.192.0.0/10 to any -> (vtnet0:0)\n"},
	}}
	serveZFS(t, log)
	c := Config{ZFSRoot: "tank/pot", Interface: "vtnet0", Network: pot.DefaultNetwork, Supervisor: os.Args[0]}
	way := &routing{runner: log, kernel: m, config: c}
	return checker{runner: log, zfs: zfs.Commands{Runner: log}, admin: zfs.NewAdmin(), kernel: m, config: c, routing: way, root: t.TempDir()}, log
}
