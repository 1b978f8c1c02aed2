package freebsd

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// Everything that is left of pots is found, without what belongs to a jail of this host.
func TestLeftovers(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	m.jails["runs"] = &modelJail{id: 1}
	const get = "zfs get -H -d 1 -t filesystem -s local -o name nomad.pot:task tank/pot/jails"
	log := &run.Log{Answers: map[string]run.Answer{
		get: {Stdout: "tank/pot/jails/a\ntank/pot/jails/runs\n"},
		"ifconfig -a": {Stdout: "epair0a: flags=1\n\tdescription: in_jail\n\tgroups: epair pot\n" +
			"epair1a: flags=1\n\tdescription: b\n\tgroups: epair pot\nepair1b: flags=1\n\tgroups: epair\n" +
			"epair2a: flags=1\n\tdescription: c IPv6\n\tgroups: epair pot\nepair2b: flags=1\n\tgroups: epair\n" +
			"epair3a: flags=1\n\tdescription: not ours\n\tgroups: epair\nepair3b: flags=1\n\tgroups: epair\n"},
		"rctl":                           {Stdout: "jail:d:maxproc:deny=5\njail:runs:maxproc:deny=5\nuser:root:maxproc:deny=5\n"},
		"pfctl -q -a pot-rdr -s Anchors": {Stdout: "  pot-rdr/e\n  pot-rdr/runs\n"},
	}}
	h := New(log, m, Config{ZFSRoot: "tank/pot"})
	names, err := h.Leftovers(t.Context(), nil)
	must.NoError(t, err)
	must.Eq(t, []pot.Name{"a", "runs", "b", "c", "d", "e"}, names)

	t.Run("a host without accounting and anchors has none of those", func(t *testing.T) {
		log.Answers["rctl"] = run.Answer{Err: &run.Error{Argv: []string{"rctl"}, Code: 1, Stderr: "rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable"}}
		for _, said := range []string{"Anchor 'pot-rdr' not found.", "pfctl: DIOCGETRULESETS: No such file or directory"} {
			log.Answers["pfctl -q -a pot-rdr -s Anchors"] = run.Answer{Err: &run.Error{Argv: []string{"pfctl"}, Code: 1, Stderr: said}}
			names, err := h.Leftovers(t.Context(), nil)
			must.NoError(t, err)
			must.Eq(t, []pot.Name{"a", "runs", "b", "c"}, names)
		}
	})
	t.Run("a command that fails is an error", func(t *testing.T) {
		for _, line := range []string{get, "ifconfig -a", "rctl", "pfctl -q -a pot-rdr -s Anchors"} {
			was := log.Answers[line]
			log.Answers[line] = run.Answer{Err: &run.Error{Argv: []string{"x"}, Code: 1, Stderr: "broken"}}
			_, err := h.Leftovers(t.Context(), nil)
			must.ErrorContains(t, err, "broken", must.Sprint(line))
			log.Answers[line] = was
		}
	})
}
