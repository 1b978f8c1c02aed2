package driver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"github.com/zclconf/go-cty/cty/msgpack"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
)

// checked is a driver on a host that finds what it is told, and its log.
func checked(t *testing.T, config string, found *[]pot.Finding, fault error) (*Driver, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	d := New(hclog.New(&hclog.LoggerOptions{Output: &log}), Native{Name: "linux", Open: func(pot.HostConfig) (pot.Host, error) {
		check := func(context.Context) []pot.Finding { return *found }
		return pot.Host{Name: "linux", Check: check}, fault
	}}, "1.2.3")
	t.Cleanup(func() { d.Shutdown(context.Background()) })
	v := decode(t, configSpec, config)
	packed, err := msgpack.Marshal(v, v.Type())
	must.NoError(t, err)
	must.NoError(t, d.SetConfig(&base.Config{PluginConfig: packed}))
	return d, &log
}

// texts are the attributes, "KEY VALUE" each.
func texts(f *drivers.Fingerprint) map[string]string {
	all := map[string]string{}
	for k, a := range f.Attributes {
		all[strings.TrimPrefix(k, "driver.pot.")] = a.GoString()
	}
	return all
}

func TestDriver_Fingerprint(t *testing.T) {
	leak.Check(t, leak.Foreign)
	need.Have(t, "root", os.Geteuid() == 0)
	found := []pot.Finding{
		{Weight: pot.Fact, Key: "bridge", Text: "pot0"},
		{Weight: pot.Fact, Key: "free_bytes", Text: "4096"},
	}
	d, log := checked(t, "volumes { enabled = true }\nallowed_network_modes = [\"none\", \"host\"]", &found, nil)

	f := d.look(t.Context(), "")
	must.Eq(t, drivers.HealthStateHealthy, f.Health)
	must.Eq(t, "Healthy", f.HealthDescription)
	must.Eq(t, map[string]string{
		"driver.pot": "true", "version": "1.2.3", "host": "linux",
		"volumes.enabled": "true", "bridge": "pot0", "free_bytes": "4096",
		"network": "10.192.0.0/10", "network.none": "true", "network.host": "true",
	}, texts(f))

	t.Run("what is absent is told, in order", func(t *testing.T) {
		found = []pot.Finding{
			{Weight: pot.Absent, Key: "vnet", Text: "no vnet: mend it"},
			{Weight: pot.Absent, Key: "limits", Text: "limits are off"},
		}
		f := d.look(t.Context(), "")
		must.Eq(t, drivers.HealthStateHealthy, f.Health)
		must.Eq(t, "Healthy, but limits are off; no vnet: mend it", f.HealthDescription)
		must.Eq(t, "false", texts(f)["limits"])
	})

	t.Run("what is fatal is unhealthy, and undetected if it was always so", func(t *testing.T) {
		found = []pot.Finding{
			{Weight: pot.Fatal, Key: "pool", Text: "pool tank is gone"},
			{Weight: pot.Fatal, Key: "jail", Text: "no jails"},
			{Weight: pot.Absent, Key: "limits", Text: "limits are off"},
		}
		for last, want := range map[drivers.HealthState]drivers.HealthState{
			"":                            drivers.HealthStateUndetected,
			drivers.HealthStateUndetected: drivers.HealthStateUndetected,
			drivers.HealthStateHealthy:    drivers.HealthStateUnhealthy,
			drivers.HealthStateUnhealthy:  drivers.HealthStateUnhealthy,
		} {
			f := d.look(t.Context(), last)
			must.Eq(t, want, f.Health)
			must.Eq(t, "no jails; pool tank is gone", f.HealthDescription)
			must.MapNotContainsKey(t, f.Attributes, "driver.pot")
		}
	})

	t.Run("it is sent at once, and ends with the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		looks, err := d.Fingerprint(ctx)
		must.NoError(t, err)
		must.Eq(t, drivers.HealthStateUndetected, (<-looks).Health)
		cancel()
		_, more := <-looks
		must.False(t, more)
		must.StrContains(t, log.String(), "[WARN]  pot: cannot start tasks: health=undetected")
	})

	t.Run("it is logged when it changes, and then only", func(t *testing.T) {
		log.Reset()
		last := new(drivers.Fingerprint)
		for range 3 {
			now := d.look(t.Context(), last.Health)
			d.report(last, now)
			last = now
		}
		must.Eq(t, 1, strings.Count(log.String(), "cannot start tasks"))
	})
}

func TestDriver_Fingerprint_noHost(t *testing.T) {
	leak.Check(t, leak.Foreign)
	var none []pot.Finding
	for _, tc := range []struct {
		name, config string
		fault        error
		want         string
	}{
		{"a machine with no host for pots says so", "", errors.New("no pots on plan9"), "no pots on plan9"},
		{"a driver that is turned off says so", "enabled = false", nil, "the plugin is disabled by its configuration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, _ := checked(t, tc.config, &none, tc.fault)
			f := d.look(t.Context(), "")
			must.Eq(t, drivers.HealthStateUndetected, f.Health)
			must.Eq(t, tc.want, f.HealthDescription)
			_, _, err := d.StartTask(taskOf(t, least))
			must.EqError(t, err, "cannot start task: "+tc.want)
			must.NoError(t, d.StopTask(testID, 0, ""))
		})
	}
}

func TestDriver_Fingerprint_noRoot(t *testing.T) {
	leak.Check(t, leak.Foreign)
	need.Have(t, "a user who is not root", os.Geteuid() != 0)
	var none []pot.Finding
	d, _ := checked(t, "", &none, nil)
	f := d.look(t.Context(), "")
	must.Eq(t, drivers.HealthStateUndetected, f.Health)
	must.Eq(t, "needs root: run the Nomad agent as root", f.HealthDescription)
}
