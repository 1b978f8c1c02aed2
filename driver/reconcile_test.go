package driver

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot"
)

func TestIsTaskPot(t *testing.T) {
	leak.Check(t, leak.Foreign)
	for _, id := range []TaskID{testID, testAlloc + "/a task with a long name.éü/0badcafe", "what Nomad never made"} {
		must.True(t, isTaskPot(id.PotName()), must.Sprint(id.PotName()))
	}
	for _, name := range []pot.Name{"web", "nginx_1_24_1", "task-1", "web_0badcafe", "web_0badcafe_6f3e6b3c-8f0e-4a35-9c2c"} {
		must.False(t, isTaskPot(name), must.Sprint(name))
	}
}

// Dangling pots are destroyed after creation_grace. Pots of known tasks, and pots that are
// not named like a task's, stay.
func TestReconciler(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	known, dangling, lost := b.task(t, "", "sleep", "1h"), b.task(t, "", "sleep", "1h"), b.task(t, "", "sleep", "1h")
	handle, _ := b.start(t, known)
	b.start(t, dangling)
	b.start(t, lost)

	// The plugin is killed before StartTask has returned for two of them. The record
	// of one of these is lost.
	b.open(t)
	must.NoError(t, b.RecoverTask(handle))
	must.NoError(t, os.RemoveAll(filepath.Join(b.dir, "pots", string(TaskID(lost.ID).PotName()))))
	back := b.driver.current()
	_, err := back.pots.Create(t.Context(), pot.Spec{
		Name: "by-hand", Image: image.Ref{Name: imagetest.HelloName, Tag: imagetest.HelloTag}.Dataset(), Network: pot.NoNetwork, Labels: map[string]string{conf.LabelTask: "x"},
	})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, back.pots.Destroy(context.Background(), "by-hand")) })

	r := newReconciler(b.driver)
	there := func() (all []pot.Name) {
		marked, err := back.pots.Leftovers(t.Context())
		must.NoError(t, err)
		return marked
	}
	all := there()
	must.Len(t, 4, all)
	now := time.Now()
	r.reconcileOnce(t.Context(), back, now)
	r.reconcileOnce(t.Context(), back, now.Add(4*time.Minute))
	must.Eq(t, all, there())

	dry := *back
	dry.gc.dryRun = true
	r.reconcileOnce(t.Context(), &dry, now.Add(6*time.Minute))
	must.Eq(t, all, there())

	r.reconcileOnce(t.Context(), back, now.Add(6*time.Minute))
	left := there()
	must.Len(t, 2, left)
	must.SliceContainsAll(t, left, []pot.Name{"by-hand", TaskID(known.ID).PotName()})
	must.MapEmpty(t, r.firstSeen)
	must.StrContains(t, b.exec(t, known.ID, "id"), "pid")
}

// An image is destroyed when no pot has been cloned from it for image_delay, and is pulled
// again when a task needs it.
func TestReconciler_collect(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	cfg := b.task(t, "", "sleep", "1h")
	b.start(t, cfg)
	back := b.driver.current()
	images := func() []string {
		all, err := back.pots.Host().Images.List(t.Context(), imagetest.HelloName)
		must.NoError(t, err)
		return all
	}
	r := newReconciler(b.driver)
	now := time.Now()
	for i := range 3 { // a pot is cloned from it
		r.destroyUnusedImages(t.Context(), back, now.Add(time.Duration(i)*time.Hour))
	}
	must.Len(t, 1, images())

	must.NoError(t, b.DestroyTask(cfg.ID, true))
	r.destroyUnusedImages(t.Context(), back, now)
	r.destroyUnusedImages(t.Context(), back, now.Add(59*time.Minute))
	must.Len(t, 1, images())

	b.driver.starting.RLock() // a start has found it
	r.destroyUnusedImages(t.Context(), back, now.Add(2*time.Hour))
	b.driver.starting.RUnlock()
	must.Len(t, 1, images())

	dry := *back
	dry.gc.dryRun = true
	r.destroyUnusedImages(t.Context(), &dry, now.Add(2*time.Hour))
	must.Len(t, 1, images())

	r.destroyUnusedImages(t.Context(), back, now.Add(2*time.Hour))
	must.SliceEmpty(t, images())
	again := b.task(t, "", "sleep", "1h")
	b.start(t, again)
	must.Len(t, 1, images())
}
