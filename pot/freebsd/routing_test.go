package freebsd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	has "nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/run"
)

// start creates a pot of that name on the public bridge, and returns the commands of
// its network.
func start(t testing.TB, m *model, pots *life.Pots, name pot.Name) []string {
	t.Helper()
	m.commands = nil
	_, err := pots.Create(t.Context(), pot.Spec{Name: name, Image: "web_1_0", Network: pot.PublicBridge})
	must.NoError(t, err)
	lanes := lanesOf(m.commands)
	return append(lanes["network"], lanes["pf"]...)
}

// device makes pf's device anew, as loading the module does.
func device(t testing.TB, path string, made time.Time) {
	t.Helper()
	must.NoError(t, os.RemoveAll(path))
	must.NoError(t, os.WriteFile(path, nil, 0o600))
	must.NoError(t, os.Chtimes(path, made, made))
	pfDevice = path
}

const (
	turnsOn = "sysctl net.inet.ip.forwarding=1"
	loads   = "pfctl -q -a pot-nat -f -"
)

// A pot that was started reaches other networks, whatever made the bridge and
// whatever was turned on, off, or flushed since; and a start where nothing is
// missing runs no command for it.
func TestRouting(t *testing.T) {
	leak.Check(t)
	withPF(t, true)
	host := func(t *testing.T, made bool) (*model, pot.Host, *life.Pots) {
		m := netModel(t)
		if made { // as rc.conf(5) does: cloned_interfaces, ifconfig_bridge0
			m.ifaces["bridge0"] = &modelIface{groups: []string{"bridge"}, inet: "10.192.0.1/10"}
		}
		h, pots := m.host(t)
		return m, h, pots
	}
	for name, made := range map[string]bool{"a bridge of ours": false, "a bridge that was there before": true} {
		t.Run(name+" has a way out", func(t *testing.T) {
			m, _, pots := host(t, made)
			first := start(t, m, pots, "first")
			must.SliceContains(t, first, turnsOn)
			must.SliceContains(t, first, loads)
			must.True(t, m.reaches("10.192.0.1"))
			second := start(t, m, pots, "second")
			must.SliceNotContains(t, second, turnsOn)
			must.SliceNotContains(t, second, loads)
			must.Len(t, 2, second, must.Sprint(second)) // epair, addm
		})
		t.Run(name+" has one when pf is loaded later", func(t *testing.T) {
			m, _, pots := host(t, made)
			pfDevice = filepath.Join(t.TempDir(), "pf")
			must.SliceNotContains(t, start(t, m, pots, "first"), loads)
			must.False(t, m.reaches("10.192.0.1"))
			device(t, pfDevice, time.Now())
			must.SliceContains(t, start(t, m, pots, "second"), loads)
			must.True(t, m.reaches("10.192.0.1"))
		})
	}
	t.Run("rules are loaded again into a pf that was unloaded since", func(t *testing.T) {
		m, _, pots := host(t, true)
		path := filepath.Join(t.TempDir(), "pf")
		device(t, path, time.Unix(1_700_000_000, 0))
		start(t, m, pots, "first")
		m.anchors = map[string]string{}
		device(t, path, time.Unix(1_700_000_060, 0))
		must.SliceContains(t, start(t, m, pots, "second"), loads)
		must.True(t, m.reaches("10.192.0.1"))
	})
	t.Run("rules that are loaded while pf is disabled count once it is enabled", func(t *testing.T) {
		m, _, pots := host(t, true)
		m.pfDisabled = true
		start(t, m, pots, "first")
		must.False(t, m.reaches("10.192.0.1"))
		m.pfDisabled = false
		must.True(t, m.reaches("10.192.0.1"))
	})
	t.Run("forwarding that somebody turned off is turned on", func(t *testing.T) {
		m, _, pots := host(t, true)
		start(t, m, pots, "first")
		m.set(forwarding, 0)
		must.SliceContains(t, start(t, m, pots, "second"), turnsOn)
		must.True(t, m.reaches("10.192.0.1"))
	})
	t.Run("rules that somebody flushed are loaded again after a look at the host", func(t *testing.T) {
		has.Have(t, "root", os.Geteuid() == 0)
		m, h, pots := host(t, true)
		serveZFS(t, m)
		start(t, m, pots, "first")
		delete(m.anchors, natAnchor)
		h.Check(t.Context())
		must.SliceContains(t, start(t, m, pots, "second"), loads)
		must.True(t, m.reaches("10.192.0.1"))
		h.Check(t.Context())
		must.SliceNotContains(t, start(t, m, pots, "third"), loads)
	})
	t.Run("a private bridge has a way out too", func(t *testing.T) {
		m := netModel(t)
		m.ifaces["bridge0"] = &modelIface{groups: []string{"bridge"}, inet: "10.192.8.1/29"}
		_, pots := m.host(t)
		_, err := pots.Create(t.Context(), connections(t)["private"])
		must.NoError(t, err)
		must.True(t, m.reaches("10.192.8.1"))
	})
	t.Run("without an uplink there is no NAT, and a start is none the worse", func(t *testing.T) {
		m := netModel(t)
		m.configure = func(c *Config) { c.Interface = "" }
		_, pots := m.host(t)
		commands := start(t, m, pots, "first")
		must.SliceContains(t, commands, turnsOn)
		must.SliceNotContains(t, commands, loads)
	})
	t.Run("rules that pf refused are loaded by the next start", func(t *testing.T) {
		m, log := newModel(t), &run.Log{Answers: map[string]run.Answer{loads: {Err: errInjected}}}
		way := &routing{runner: log, kernel: m, config: Config{Interface: "vtnet0", Network: pot.DefaultNetwork}}
		must.ErrorIs(t, way.ensure(t.Context()), errInjected)
		delete(log.Answers, loads)
		for range 2 {
			must.NoError(t, way.ensure(t.Context()))
		}
		must.Eq(t, 2, strings.Count(log.String(), loads))
	})
	t.Run("a host's IPv6 is not changed", func(t *testing.T) {
		m := netModel(t)
		_, pots := m.host(t)
		_, err := pots.Create(t.Context(), connections(t)["dual"])
		must.NoError(t, err)
		must.False(t, strings.Contains(strings.Join(m.commands, "\n"), "inet6.ip6.forwarding"))
	})
}
