package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// An ifconfig(8) that is killed between its ioctls leaves nothing, whatever it was
// creating.
func TestCreate_killed(t *testing.T) {
	leak.Check(t)
	for _, kind := range []string{"epair", "bridge"} {
		for _, name := range []string{"public", "six", "dual", "private"} {
			for ioctls := 1; ioctls <= 5; ioctls++ {
				m := netModel(t)
				before := m.state()
				_, pots := m.host(t)
				m.cut = map[string]int{kind: ioctls}
				_, err := pots.Create(t.Context(), connections(t)[name])
				must.ErrorContains(t, err, "exit status -1")
				must.Eq(t, before, m.state(), must.Sprintf("%s of %s, killed after %d", kind, name, ioctls))
				_, err = pots.Create(t.Context(), connections(t)[name])
				must.NoError(t, err)
			}
		}
	}
}

// Interfaces that a killed plugin and its ifconfig have left are destroyed with the next pot,
// and block nothing before that; interfaces of others stay.
func TestCreate_halfMade(t *testing.T) {
	leak.Check(t)
	m := netModel(t)
	others := map[string]*modelIface{
		"epair0a":     {groups: []string{"epair"}},
		"epair0b":     {groups: []string{"epair"}},
		"epair20000a": {groups: []string{"epair"}, description: "the operator's"},
		"epair20000b": {groups: []string{"epair"}},
		"epair20001a": {groups: []string{"epair"}}, // its end b is in a jail
		"epair20001b": {groups: []string{"epair"}, jail: "theirs"},
		"bridge0":     {groups: []string{"bridge"}},
		"bridge20002": {groups: []string{"bridge"}, description: "the operator's"},
		"wg20003":     {groups: []string{"wg"}},
	}
	for name, i := range others {
		m.ifaces[name] = i
	}
	before := m.state()
	for kind, descriptions := range map[string][]string{
		"epair":  {"public", "dual IPv6", "a pot whose record is lost"},
		"bridge": {ourBridges + "public bridge", ourBridges + "private bridge db"},
	} {
		for _, d := range descriptions {
			m.createInterface(kind, unitsOf(d)[0], []string{fmt.Sprint(kind, unitsOf(d)[0]), "create", "group", "pot"})
		}
	}
	_, pots := m.host(t)
	p, err := pots.Create(t.Context(), connections(t)["public"])
	must.NoError(t, err)
	must.StrContains(t, m.command(t, "jail -c"), "vnet.interface=epair29557b") // its second unit
	must.NoError(t, p.Destroy(t.Context()))
	_, pots = m.host(t) // a process that knows of no pots
	must.NoError(t, pots.Destroy(t.Context(), "public"))
	must.Eq(t, before, m.state())
}

func TestUnits(t *testing.T) {
	leak.Check(t)
	seen := map[int]int{}
	for n := range 500 {
		all := unitsOf(fmt.Sprint("pot-", n))
		must.Len(t, 16, all)
		for _, unit := range all {
			must.Between(t, 16384, unit, 32767)
		}
		seen[all[0]]++
	}
	must.Greater(t, 450, len(seen))
	for device, ours := range map[string]bool{
		"epair16384a": true, "epair32767b": true, "bridge16384": true, "epair16383a": false, "epair32768a": false, "bridge0": false,
		"epair0a": false, "": false, "epair": false, "bridge": false, "lo0": false, "em20000": false, "epair-20000a": false, "tap20000": false,
	} {
		must.Eq(t, ours, hasOurUnit(device), must.Sprint(device))
	}

	t.Run("if all units are taken, that is the error, and not that the pot exists", func(t *testing.T) {
		m := newModel(t)
		for _, unit := range unitsOf("web") {
			m.ifaces[fmt.Sprint("epair", unit, "a")] = &modelIface{groups: []string{"epair"}, description: "x"}
		}
		before := m.state()
		_, pots := m.host(t)
		_, err := pots.Create(t.Context(), web(t))
		must.ErrorContains(t, err, "link: create epair for web: all of its units are taken")
		must.False(t, errors.Is(err, fs.ErrExist))
		must.Eq(t, before, m.state())
	})
}

// A command that hangs holds the lock of starts and stops for a bounded time, and those
// that wait for the lock wait no longer than they would.
func TestLinks_hung(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t)
		before := m.state()
		h, _ := m.host(t)
		link := func(name pot.Name) pot.Link {
			return pot.Link{Pot: name, Address: pot.DefaultNetwork.Prefix, Gateway: pot.DefaultNetwork.Gateway}
		}
		m.hangs = "ifconfig epair19294 create"
		begun := time.Now()
		hung := make(chan error)
		go func() { hung <- h.Links.Attach(t.Context(), link("web")) }()
		synctest.Wait() // it has the lock

		late := errors.New("the start took too long")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, late)
		defer cancel()
		must.ErrorIs(t, h.Links.Attach(ctx, link("second")), late)
		must.ErrorIs(t, h.Links.Detach(ctx, "third"), late)
		must.Eq(t, 10*time.Second, time.Since(begun))

		must.ErrorContains(t, <-hung, "not done within 30s")
		must.Eq(t, 30*time.Second, time.Since(begun))
		must.Eq(t, before, m.state())
		must.NoError(t, h.Links.Attach(t.Context(), link("second")))
		must.NoError(t, h.Links.Detach(t.Context(), "second"))
		must.Eq(t, before, m.state())
	})
}
