package driver

import (
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/imagetest"
)

// Once StopTask or DestroyTask has returned, the task does not run: a start that was under
// way is cancelled, and does not finish later.
func TestDriver_StartTask_cancelled(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	t.Run("a start is cancelled while it pulls its image", func(t *testing.T) { testCancelPull(t, b) })
	t.Run("a start is cancelled at any time", func(t *testing.T) { testCancelAnyTime(t, b) })
}

// testCancelPull stops a task whose image never arrives.
func testCancelPull(t *testing.T, b *bed) {
	b.server.Fail(helloXZ, imagetest.Stall())
	cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
	ended := make(chan error, 1)
	go func() {
		_, _, err := b.driver.StartTask(cfg)
		ended <- err
	}()
	eventually(t, func() error {
		if b.server.Gets(helloXZ) == 0 {
			return errors.New("the image is not requested")
		}
		return nil
	})
	must.NoError(t, b.StopTask(cfg.ID, time.Minute, ""))
	select {
	case err := <-ended:
		must.ErrorContains(t, err, "start cancelled")
	case <-time.After(10 * time.Second):
		t.Fatal("it is still being started")
	}
	nothingLeft(t, b.dir)
}

// testCancelAnyTime stops tasks at different times of their start.
func testCancelAnyTime(t *testing.T, b *bed) {
	b.server.Fail(helloXZ, nil)
	b.sleeper(t) // the image is there
	// A start takes a few milliseconds, during which a busy machine may not run this
	// goroutine. At least one stop must fall within a start.
	cancelled := 0
	for i := 0; i < 20 || cancelled == 0; i++ {
		if i == 200 {
			t.Fatal("no start of 200 was cancelled")
		}
		delay := time.Duration(i%20) * 3 * time.Millisecond
		cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
		ended := make(chan error, 1)
		go func() {
			_, _, err := b.driver.StartTask(cfg)
			ended <- err
		}()
		for reserved := false; !reserved && len(ended) == 0; time.Sleep(50 * time.Microsecond) {
			_, reserved = b.driver.tasks.pots()[TaskID(cfg.ID).PotName()]
		}
		time.Sleep(delay)
		must.NoError(t, b.StopTask(cfg.ID, 0, ""))
		if running := b.driver.tasks.find(TaskID(cfg.ID)); running != nil {
			must.Positive(t, b.wait(t, cfg.ID).Signal)
		}
		if err := <-ended; err != nil {
			must.ErrorContains(t, err, "start cancelled")
			cancelled++
		} else {
			must.False(t, b.driver.tasks.find(TaskID(cfg.ID)).running())
		}
		must.NoError(t, b.DestroyTask(cfg.ID, true))
	}
}
