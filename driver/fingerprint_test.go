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

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
)

// noLeftovers is pot.Host.Leftovers of a host that has none.
func noLeftovers(context.Context, []pot.Name) ([]pot.Name, error) { return nil, nil }

// driverOn returns a driver whose host check returns found, and the driver's log.
func driverOn(t *testing.T, config string, found *[]pot.CheckResult, fault error) (*Driver, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	d := New(hclog.New(&hclog.LoggerOptions{Output: &log}), Native{Name: "linux", Open: func(potconf.HostConfig) (pot.Host, error) {
		check := func(context.Context) []pot.CheckResult { return *found }
		return pot.Host{Name: "linux", Leftovers: noLeftovers, Check: check}, fault
	}}, "1.2.3")
	t.Cleanup(func() { d.Shutdown(context.Background()) })
	must.NoError(t, d.SetConfig(&base.Config{PluginConfig: packed(t, config)}))
	return d, &log
}

// texts returns the attributes as text, by key.
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
	found := []pot.CheckResult{
		{Severity: pot.Info, Key: "bridge", Text: "pot0"},
		{Severity: pot.Info, Key: "free_bytes", Text: "4096"},
	}
	d, _ := driverOn(t, "volumes { enabled = true }\nallowed_network_modes = [\"none\", \"host\"]", &found, nil)

	f := d.fingerprint(t.Context(), "")
	must.Eq(t, drivers.HealthStateHealthy, f.Health)
	must.Eq(t, "Healthy", f.HealthDescription)
	must.Eq(t, map[string]string{
		"driver.pot": "true", "version": "1.2.3", "host": "linux",
		"volumes.enabled": "true", "bridge": "pot0", "free_bytes": "4096",
		"network": "10.192.0.0/10", "network.none": "true", "network.host": "true",
	}, texts(f))

	t.Run("missing features are described, sorted", func(t *testing.T) {
		found = []pot.CheckResult{
			{Severity: pot.Degraded, Key: "vnet", Text: "no vnet: mend it"},
			{Severity: pot.Degraded, Key: "limits", Text: "limits are off"},
		}
		f := d.fingerprint(t.Context(), "")
		must.Eq(t, drivers.HealthStateHealthy, f.Health)
		must.Eq(t, "Healthy, but limits are off; no vnet: mend it", f.HealthDescription)
		must.Eq(t, "false", texts(f)["limits"])
	})

	t.Run("a host that cannot start tasks is unhealthy, and undetected if it never could", func(t *testing.T) {
		found = []pot.CheckResult{
			{Severity: pot.Fatal, Key: "pool", Text: "pool tank is gone"},
			{Severity: pot.Fatal, Key: "jail", Text: "no jails"},
			{Severity: pot.Degraded, Key: "limits", Text: "limits are off"},
		}
		for last, want := range map[drivers.HealthState]drivers.HealthState{
			"":                            drivers.HealthStateUndetected,
			drivers.HealthStateUndetected: drivers.HealthStateUndetected,
			drivers.HealthStateHealthy:    drivers.HealthStateUnhealthy,
			drivers.HealthStateUnhealthy:  drivers.HealthStateUnhealthy,
		} {
			f := d.fingerprint(t.Context(), last)
			must.Eq(t, want, f.Health)
			must.Eq(t, "no jails; pool tank is gone", f.HealthDescription)
			must.MapNotContainsKey(t, f.Attributes, "driver.pot")
		}
	})

}

// The stream of fingerprints begins at once. Only changes of health are logged.
func TestDriver_Fingerprint_stream(t *testing.T) {
	leak.Check(t, leak.Foreign)
	need.Have(t, "root", os.Geteuid() == 0)
	found := []pot.CheckResult{{Severity: pot.Fatal, Key: "jail", Text: "no jails"}}
	d, log := driverOn(t, "", &found, nil)

	t.Run("a fingerprint is sent at once, and the stream ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		fingerprints, err := d.Fingerprint(ctx)
		must.NoError(t, err)
		must.Eq(t, drivers.HealthStateUndetected, (<-fingerprints).Health)
		cancel()
		_, more := <-fingerprints
		must.False(t, more)
		must.StrContains(t, log.String(), "[WARN]  pot: cannot start tasks: health=undetected")
	})

	t.Run("only a change of health is logged", func(t *testing.T) {
		log.Reset()
		last := new(drivers.Fingerprint)
		for range 3 {
			now := d.fingerprint(t.Context(), last.Health)
			d.logChange(last, now)
			last = now
		}
		must.Eq(t, 1, strings.Count(log.String(), "cannot start tasks"))
	})
}

func TestDriver_Fingerprint_noHost(t *testing.T) {
	leak.Check(t, leak.Foreign)
	var none []pot.CheckResult
	for _, tc := range []struct {
		name, config string
		openErr      error
		want         string
	}{
		{"a machine without a host for pots is undetected", "", errors.New("no pots on plan9"), "no pots on plan9"},
		{"a disabled driver is undetected", "enabled = false", nil, "the plugin is disabled by its configuration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, _ := driverOn(t, tc.config, &none, tc.openErr)
			f := d.fingerprint(t.Context(), "")
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
	var none []pot.CheckResult
	d, _ := driverOn(t, "", &none, nil)
	f := d.fingerprint(t.Context(), "")
	must.Eq(t, drivers.HealthStateUndetected, f.Health)
	must.Eq(t, "needs root: run the Nomad agent as root", f.HealthDescription)
}
