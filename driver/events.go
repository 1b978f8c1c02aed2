package driver

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/drivers/shared/eventer"
	"github.com/hashicorp/nomad/plugins/drivers"
)

// events emits events of tasks to Nomad, for the people who run them. Nomad keeps
// the last ten events of a task, so there should be few. Emitting an event never
// waits for Nomad: the eventer would give a slow receiver two seconds for each.
type events struct {
	eventer *eventer.Eventer
	queue   chan *drivers.TaskEvent
}

// maxQueued is how many events wait for their receivers before more are dropped.
const maxQueued = 256

// newEvents returns events that are sent until ctx ends.
func newEvents(ctx context.Context, logger hclog.Logger) *events {
	e := &events{
		eventer: eventer.NewEventer(ctx, logger),
		queue:   make(chan *drivers.TaskEvent, maxQueued),
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case event := <-e.queue:
				e.eventer.EmitEvent(event)
			}
		}
	}()
	return e
}

// eventFunc emits an event of one task. A message is a few words in sentence case,
// and names the key that would change what it reports.
type eventFunc func(format string, args ...any)

// forTask returns the function that emits events of c's task.
func (e *events) forTask(c *drivers.TaskConfig) eventFunc {
	id, task, alloc := c.ID, c.Name, c.AllocID
	return func(format string, args ...any) {
		event := &drivers.TaskEvent{
			TaskID:    id,
			TaskName:  task,
			AllocID:   alloc,
			Timestamp: time.Now(),
			Message:   printable(fmt.Sprintf(format, args...)),
		}
		select {
		case e.queue <- event:
		default:
		}
	}
}

// printable makes text valid UTF-8. A gRPC string must be: another one ends the
// stream of events for good.
func printable(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// TaskEvents implements drivers.DriverPlugin.
func (d *Driver) TaskEvents(ctx context.Context) (<-chan *drivers.TaskEvent, error) {
	return d.events.eventer.TaskEvents(ctx)
}
