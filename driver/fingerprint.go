package driver

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/shared/structs"

	"nomad-driver-pot/pot"
)

// fingerprintPeriod is the time between checks of the host.
const fingerprintPeriod = 30 * time.Second

// Fingerprint implements drivers.DriverPlugin. It sends the state of the host now
// and at each fingerprintPeriod, until ctx or the plugin ends.
func (d *Driver) Fingerprint(ctx context.Context) (<-chan *drivers.Fingerprint, error) {
	fingerprints := make(chan *drivers.Fingerprint)
	detach := d.agent.attach()
	d.startReconciler.Do(func() { go d.reconcile() })
	go func() {
		defer close(fingerprints)
		defer detach()
		ctx, cancel := context.WithCancel(ctx) // ends with the plugin too
		defer cancel()
		defer context.AfterFunc(d.ctx, cancel)()
		ticks := time.NewTicker(fingerprintPeriod)
		defer ticks.Stop()
		var last drivers.Fingerprint
		for {
			now := d.fingerprint(ctx, last.Health)
			if ctx.Err() != nil {
				return // the check was cut short
			}
			d.logChange(&last, now)
			last = *now
			select {
			case fingerprints <- now:
			case <-ctx.Done():
				return
			}
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return fingerprints, nil
}

// logChange logs a change of health since the last fingerprint.
func (d *Driver) logChange(last, now *drivers.Fingerprint) {
	switch {
	case last.Health == now.Health && last.HealthDescription == now.HealthDescription:
	case now.Health == drivers.HealthStateHealthy:
		d.logger.Info("can start tasks", "description", now.HealthDescription)
	default:
		d.logger.Warn("cannot start tasks", "health", now.Health, "description", now.HealthDescription)
	}
}

// fingerprint checks the host. A driver that cannot start tasks is unhealthy if it
// could before, and undetected if it never could.
func (d *Driver) fingerprint(ctx context.Context, last drivers.HealthState) *drivers.Fingerprint {
	b := d.current()
	var found []pot.CheckResult
	switch {
	case !b.enabled && b.openErr == nil:
		return &drivers.Fingerprint{Health: drivers.HealthStateUndetected, HealthDescription: errDisabled.Error()}
	case b.openErr != nil:
		found = []pot.CheckResult{{Severity: pot.Fatal, Key: "host", Text: b.openErr.Error()}}
	default:
		found = d.checks.check(ctx, b.pots.Host())
		found = append(found, pot.CheckResult{Key: "host", Text: b.pots.Host().Name})
	}
	if os.Geteuid() != 0 && !slices.ContainsFunc(found, isFatal) {
		found = append(found, pot.CheckResult{Severity: pot.Fatal, Key: "root", Text: "needs root: run the Nomad agent as root"})
	}
	f := &drivers.Fingerprint{Attributes: attributes(b, d.version, found), Health: drivers.HealthStateHealthy}
	if slices.ContainsFunc(found, isFatal) {
		f.Health = drivers.HealthStateUndetected
		if last == drivers.HealthStateHealthy || last == drivers.HealthStateUnhealthy {
			f.Health = drivers.HealthStateUnhealthy
		}
	}
	f.HealthDescription = description(found)
	return f
}

// isFatal reports whether no task can start because of f.
func isFatal(f pot.CheckResult) bool { return f.Severity == pot.Fatal }

// attributes returns the node attributes, for the constraints of jobs.
func attributes(b *backend, version string, found []pot.CheckResult) map[string]*structs.Attribute {
	all := map[string]*structs.Attribute{
		"driver.pot.version":         structs.NewStringAttribute(version),
		"driver.pot.volumes.enabled": structs.NewBoolAttribute(b.volumes.Enabled),
	}
	if b.host.Network.Prefix.IsValid() {
		all["driver.pot.network"] = structs.NewStringAttribute(b.host.Network.Prefix.String())
	}
	for _, mode := range b.modes {
		all["driver.pot.network."+string(mode)] = structs.NewBoolAttribute(true)
	}
	if !slices.ContainsFunc(found, isFatal) {
		all["driver.pot"] = structs.NewBoolAttribute(true)
	}
	// A constraint can compare numbers only if the attribute has their type. What the
	// host cannot do is false, whatever the text says about why.
	for _, f := range found {
		key := "driver.pot." + f.Key
		n, err := strconv.ParseInt(f.Text, 10, 64)
		switch {
		case f.Severity != pot.Info:
			all[key] = structs.NewBoolAttribute(false)
		case f.Text == "true":
			all[key] = structs.NewBoolAttribute(true)
		case err == nil:
			all[key] = structs.NewIntAttribute(n, "")
		default:
			all[key] = structs.NewStringAttribute(f.Text)
		}
	}
	return all
}

// description says why no task can start, or else what does not work. It is
// sorted, since each change of it makes every server update the node.
func description(found []pot.CheckResult) string {
	var fatals, absents []string
	for _, f := range found {
		switch f.Severity {
		case pot.Fatal:
			fatals = append(fatals, f.Text)
		case pot.Degraded:
			absents = append(absents, f.Text)
		}
	}
	slices.Sort(fatals)
	slices.Sort(absents)
	switch {
	case len(fatals) > 0:
		return strings.Join(fatals, "; ")
	case len(absents) > 0:
		return drivers.DriverHealthy + ", but " + strings.Join(absents, "; ")
	}
	return drivers.DriverHealthy
}
