package driver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot"
)

// Whoever is told that a task has been stopped, or destroyed, may count on it: a
// start that was under way does not come to its end afterwards.
func TestDriver_StartTask_calledOff(t *testing.T) {
	b := newBed(t, "")
	b.unlogged = true

	t.Run("while its image is fetched", func(t *testing.T) {
		b.server.Fail(imagetest.HelloName+"_1.0.xz", imagetest.Stall())
		cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
		ended := make(chan error, 1)
		go func() {
			_, _, err := b.driver.StartTask(cfg)
			ended <- err
		}()
		eventually(t, func() error {
			if b.server.Gets(imagetest.HelloName+"_1.0.xz") == 0 {
				return errors.New("nothing is asked of the server")
			}
			return nil
		})
		must.NoError(t, b.StopTask(cfg.ID, time.Minute, ""))
		select {
		case err := <-ended:
			must.ErrorContains(t, err, "called off")
		case <-time.After(10 * time.Second):
			t.Fatal("it is still being started")
		}
		nothingLeft(t, b.dir)
	})

	t.Run("at any time", func(t *testing.T) {
		b.server.Fail(imagetest.HelloName+"_1.0.xz", nil)
		b.start(t, b.task(t, `network_mode = "none"`, "sleep", "1h")) // the image is there
		calledOff := 0
		for delay := time.Duration(0); delay < 60*time.Millisecond; delay += 3 * time.Millisecond {
			cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
			ended := make(chan error, 1)
			go func() {
				_, _, err := b.driver.StartTask(cfg)
				ended <- err
			}()
			time.Sleep(delay)
			must.NoError(t, b.StopTask(cfg.ID, 0, ""))
			select {
			case err := <-ended:
				if err != nil {
					must.ErrorContains(t, err, "called off")
					calledOff++
					break
				}
				must.Positive(t, b.wait(t, cfg.ID).Signal)
			default: // it is not even claimed: nothing was there to be stopped
				must.Eq(t, 0, delay, must.Sprint("it goes on after the stop"))
				<-ended
			}
			must.NoError(t, b.DestroyTask(cfg.ID, true))
		}
		must.Positive(t, calledOff)
	})
}

// An agent that is killed while it waits for a start is followed by one that goes on
// with the same plugin and starts the task again: of the first it will never speak.
func TestReconciler_unheard(t *testing.T) {
	b := newBed(t, "")
	b.unlogged = true
	unheard, waited, recovered := b.task(t, "", "sleep", "1h"), b.task(t, "", "sleep", "1h"), b.task(t, "", "sleep", "1h")
	b.start(t, unheard)
	b.start(t, waited)
	handle, _ := b.start(t, recovered)
	_, err := b.driver.WaitTask(t.Context(), waited.ID)
	must.NoError(t, err)
	must.NoError(t, b.RecoverTask(handle))
	back := b.driver.current()
	there := func() []pot.Name {
		marked, err := back.pots.Marked(t.Context())
		must.NoError(t, err)
		return marked
	}
	all := there()
	must.Len(t, 3, all)

	r := newReconciler(b.driver)
	now := time.Now()
	for _, later := range []time.Duration{0, 10 * time.Minute, time.Hour} { // no agent is there
		r.pass(t.Context(), back, now.Add(later))
		must.Eq(t, all, there())
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.driver.looking.Do(func() {}) // this test reconciles
	looks, err := b.driver.Fingerprint(ctx)
	must.NoError(t, err)
	<-looks
	now = time.Now()
	for _, later := range []time.Duration{time.Minute, 6 * time.Minute, 10 * time.Minute} { // it may yet speak of it
		r.pass(t.Context(), back, now.Add(later))
		must.Eq(t, all, there())
	}
	r.pass(t.Context(), back, now.Add(12*time.Minute))
	left := there()
	must.SliceContainsAll(t, left, []pot.Name{TaskID(waited.ID).PotName(), TaskID(recovered.ID).PotName()})
	_, err = b.InspectTask(unheard.ID)
	must.ErrorContains(t, err, "task not found")
}
