package driver

import (
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/imagetest"
)

// Whoever is told that a task has been stopped, or destroyed, may count on it: a
// start that was under way does not come to its end afterwards.
func TestDriver_StartTask_calledOff(t *testing.T) {
	leak.Check(t, leak.Foreign)
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
		// Between the claim and the end of a start are a few milliseconds, which a
		// busy machine may sleep through: at least one stop is to fall there.
		calledOff := 0
		for i := 0; i < 20 || calledOff == 0; i++ {
			if i == 200 {
				t.Fatal("no start of 200 was called off")
			}
			delay := time.Duration(i%20) * 3 * time.Millisecond
			cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
			ended := make(chan error, 1)
			go func() {
				_, _, err := b.driver.StartTask(cfg)
				ended <- err
			}()
			for claimed := false; !claimed && len(ended) == 0; time.Sleep(50 * time.Microsecond) {
				_, claimed = b.driver.tasks.pots()[TaskID(cfg.ID).PotName()]
			}
			time.Sleep(delay)
			must.NoError(t, b.StopTask(cfg.ID, 0, ""))
			if running := b.driver.tasks.find(TaskID(cfg.ID)); running != nil {
				must.Positive(t, b.wait(t, cfg.ID).Signal)
			}
			if err := <-ended; err != nil {
				must.ErrorContains(t, err, "called off")
				calledOff++
			} else {
				must.False(t, b.driver.tasks.find(TaskID(cfg.ID)).running())
			}
			must.NoError(t, b.DestroyTask(cfg.ID, true))
		}
	})
}
