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

// fingerprintPeriod is between looks at the host.
const fingerprintPeriod = 30 * time.Second

// Fingerprint is drivers.DriverPlugin's: the host as it is now, and at each
// period.
func (d *Driver) Fingerprint(ctx context.Context) (<-chan *drivers.Fingerprint, error) {
	looks := make(chan *drivers.Fingerprint)
	goes := d.agent.attach()
	d.startReconciler.Do(func() { go d.reconcile() })
	go func() {
		defer close(looks)
		defer goes()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(d.ctx, cancel)()
		ticks := time.NewTicker(fingerprintPeriod)
		defer ticks.Stop()
		var last drivers.Fingerprint
		for {
			now := d.fingerprint(ctx, last.Health)
			if ctx.Err() != nil {
				return // nobody waited for it
			}
			d.logChange(&last, now)
			last = *now
			select {
			case looks <- now:
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
	return looks, nil
}

// logChange logs what has changed since the last look.
func (d *Driver) logChange(last, now *drivers.Fingerprint) {
	switch {
	case last.Health == now.Health && last.HealthDescription == now.HealthDescription:
	case now.Health == drivers.HealthStateHealthy:
		d.logger.Info("can start tasks", "description", now.HealthDescription)
	default:
		d.logger.Warn("cannot start tasks", "health", now.Health, "description", now.HealthDescription)
	}
}

// fingerprint is the fingerprint as it is now. A driver that could start tasks once is
// unhealthy when it no longer can; before, it is not there.
func (d *Driver) fingerprint(ctx context.Context, last drivers.HealthState) *drivers.Fingerprint {
	b := d.current()
	var found []pot.Finding
	switch {
	case !b.enabled && b.openErr == nil:
		return &drivers.Fingerprint{Health: drivers.HealthStateUndetected, HealthDescription: errDisabled.Error()}
	case b.openErr != nil:
		found = []pot.Finding{{Weight: pot.Fatal, Key: "host", Text: b.openErr.Error()}}
	default:
		found = d.checks.check(ctx, b.pots.Host())
		found = append(found, pot.Finding{Key: "host", Text: b.pots.Host().Name})
	}
	if os.Geteuid() != 0 && !slices.ContainsFunc(found, fatal) {
		found = append(found, pot.Finding{Weight: pot.Fatal, Key: "root", Text: "needs root: run the Nomad agent as root"})
	}
	f := &drivers.Fingerprint{Attributes: attributes(b, d.version, found), Health: drivers.HealthStateHealthy}
	if slices.ContainsFunc(found, fatal) {
		f.Health = drivers.HealthStateUndetected
		if last == drivers.HealthStateHealthy || last == drivers.HealthStateUnhealthy {
			f.Health = drivers.HealthStateUnhealthy
		}
	}
	f.HealthDescription = description(found)
	return f
}

func fatal(f pot.Finding) bool { return f.Weight == pot.Fatal }

// attributes are for the constraints of jobs.
func attributes(b *backend, version string, found []pot.Finding) map[string]*structs.Attribute {
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
	if !slices.ContainsFunc(found, fatal) {
		all["driver.pot"] = structs.NewBoolAttribute(true)
	}
	for _, f := range found {
		key := "driver.pot." + f.Key
		n, err := strconv.ParseInt(f.Text, 10, 64)
		switch {
		case f.Weight != pot.Fact:
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

// description says why no task can start, or what works less well. It is
// sorted: each change is one more update of the node, for all servers.
func description(found []pot.Finding) string {
	var fatals, absents []string
	for _, f := range found {
		switch f.Weight {
		case pot.Fatal:
			fatals = append(fatals, f.Text)
		case pot.Absent:
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
