package driver

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
)

// A host whose commands hang, as on a pool without its disks, is one on which no
// task can start: Nomad must learn it, and again when the host is back.
func TestDriver_Fingerprint_hangs(t *testing.T) {
	leak.Check(t, leak.Foreign)
	need.Have(t, "root", os.Geteuid() == 0)
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var looks atomic.Int32
		d := New(hclog.NewNullLogger(), Native{Name: "linux", Open: func(potconf.HostConfig) (pot.Host, error) {
			return pot.Host{Name: "linux", Leftovers: noLeftovers, Check: func(ctx context.Context) []pot.CheckResult {
				if looks.Add(1) > 1 {
					<-hang // whatever becomes of ctx
				}
				return nil
			}}, nil
		}}, "1.2.3")
		defer d.Shutdown(t.Context())
		must.NoError(t, d.SetConfig(&base.Config{}))
		d.startReconciler.Do(func() {}) // there is nothing to destroy
		all, err := d.Fingerprint(t.Context())
		must.NoError(t, err)
		must.Eq(t, drivers.HealthStateHealthy, (<-all).Health)
		for range 3 {
			f := <-all
			must.Eq(t, drivers.HealthStateUnhealthy, f.Health)
			must.StrHasPrefix(t, "the host has not answered within 30s: ", f.HealthDescription)
		}
		must.Eq(t, 2, looks.Load()) // those that hang are not added to
		close(hang)
		time.Sleep(2 * fingerprintPeriod)
		for f := range all {
			if f.Health == drivers.HealthStateHealthy {
				break
			}
		}
	})
}

// All who ask while a look is under way are told what it finds.
func TestChecks_several(t *testing.T) {
	leak.Check(t, leak.Foreign)
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		host := pot.Host{Leftovers: noLeftovers, Check: func(context.Context) []pot.CheckResult {
			looks++
			time.Sleep(time.Second)
			return []pot.CheckResult{{Key: "found"}}
		}}
		var c checks
		all := make(chan []pot.CheckResult)
		for range 3 {
			go func() { all <- c.check(t.Context(), host) }()
		}
		for range 3 {
			must.Eq(t, []pot.CheckResult{{Key: "found"}}, <-all)
		}
		must.Eq(t, 1, looks)
	})
}
