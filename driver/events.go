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

// events tells Nomad's users what becomes of their tasks. Nomad keeps the last
// ten of a task, so there are few. Telling never waits for whoever listens: the
// eventer gives a slow one two seconds for each event.
type events struct {
	eventer *eventer.Eventer
	queue   chan *drivers.TaskEvent
}

// maxQueued is how many events wait for listeners before more are dropped.
const maxQueued = 256

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

// eventFunc tells an event of one task.
type eventFunc func(format string, args ...any)

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

// printable is a text that gRPC takes: its strings are UTF-8, and one that is not ends a
// stream of events for good.
func printable(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// TaskEvents is drivers.DriverPlugin's.
func (d *Driver) TaskEvents(ctx context.Context) (<-chan *drivers.TaskEvent, error) {
	return d.events.eventer.TaskEvents(ctx)
}
