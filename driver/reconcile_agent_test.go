package driver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// An agent that is killed while it waits for a start is followed by one that uses the same
// plugin and starts the task again. It never names the first task, which is destroyed.
func TestReconciler_unacknowledged(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	unacknowledged, waited, recovered := b.task(t, "", "sleep", "1h"), b.task(t, "", "sleep", "1h"), b.task(t, "", "sleep", "1h")
	b.start(t, unacknowledged)
	b.start(t, waited)
	handle, _ := b.start(t, recovered)
	_, err := b.driver.WaitTask(t.Context(), waited.ID)
	must.NoError(t, err)
	must.NoError(t, b.RecoverTask(handle))
	back := b.driver.current()
	there := func() []pot.Name {
		marked, err := back.pots.Leftovers(t.Context())
		must.NoError(t, err)
		return marked
	}
	all := there()
	must.Len(t, 3, all)

	r := newReconciler(b.driver)
	now := time.Now()
	for _, later := range []time.Duration{0, 10 * time.Minute, time.Hour} { // no agent is attached
		r.reconcileOnce(t.Context(), back, now.Add(later))
		must.Eq(t, all, there())
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.driver.startReconciler.Do(func() {}) // this test reconciles
	fingerprints, err := b.driver.Fingerprint(ctx)
	must.NoError(t, err)
	<-fingerprints
	now = time.Now()
	for _, later := range []time.Duration{time.Minute, 6 * time.Minute, 10 * time.Minute} { // the agent may still name it
		r.reconcileOnce(t.Context(), back, now.Add(later))
		must.Eq(t, all, there())
	}
	r.reconcileOnce(t.Context(), back, now.Add(12*time.Minute))
	left := there()
	must.SliceContainsAll(t, left, []pot.Name{TaskID(waited.ID).PotName(), TaskID(recovered.ID).PotName()})
	_, err = b.InspectTask(unacknowledged.ID)
	must.ErrorContains(t, err, "task not found")
}

// Nomad calls DestroyTask once, and forgets the task whatever it returns. The reconciler
// destroys what is left.
func TestReconciler_destroyFailed(t *testing.T) {
	leak.Check(t, leak.Foreign)
	if runtime.GOOS == "freebsd" {
		t.Skip("no mount is busy there: unmount(2) is asked with MNT_FORCE")
	}
	b := newBed(t, "")
	b.unlogged = true
	cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
	volume := t.TempDir()
	must.NoError(t, os.WriteFile(volume+"/there", nil, 0o644))
	cfg.Mounts = []*drivers.MountConfig{{HostPath: volume, TaskPath: "/volume"}}
	b.start(t, cfg)
	back := b.driver.current()
	name := TaskID(cfg.ID).PotName()
	dir, err := back.pots.Host().Datasets.Dir(t.Context(), string(name))
	must.NoError(t, err)
	busy, err := os.Open(filepath.Join(dir, "m/volume/there"))
	must.NoError(t, err)
	defer busy.Close()
	must.ErrorContains(t, b.DestroyTask(cfg.ID, true), "busy")

	r := newReconciler(b.driver)
	now := time.Now()
	r.reconcileOnce(t.Context(), back, now)
	must.MapContainsKey(t, r.firstSeen, name)
	busy.Close()
	r.reconcileOnce(t.Context(), back, now.Add(6*time.Minute))
	nothingLeft(t, b.dir)
	_, err = b.InspectTask(cfg.ID)
	must.ErrorContains(t, err, "task not found")
}

// A plugin whose agent was killed destroys nothing: the tasks that it finds may be those of
// another agent.
func TestReconciler_agentGone(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, `gc {
		interval       = "20ms"
		creation_grace = "20ms"
		image_delay    = "20ms"
	}`)
	b.unlogged = true
	first := b.driver
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fingerprints, err := first.Fingerprint(ctx)
	must.NoError(t, err)
	<-fingerprints
	cancel()
	for range fingerprints {
		// until it is over
	}
	b.driver = nil // it runs beside the plugin of the other agent
	b.open(t)
	t.Cleanup(func() { first.Shutdown(context.Background()) })
	cfg := b.sleeper(t)
	time.Sleep(time.Second)
	back := first.current()
	_, err = back.pots.Find(TaskID(cfg.ID).PotName())
	must.NoError(t, err)

	fingerprints, err = first.Fingerprint(t.Context())
	must.NoError(t, err)
	<-fingerprints
	eventually(t, func() error {
		_, err := back.pots.Find(TaskID(cfg.ID).PotName())
		if err == nil {
			return errors.New("it is still there")
		}
		return nil
	})
}
