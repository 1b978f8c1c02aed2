package driver

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A start emits few enough events for Nomad to keep all of them.
func TestDriver_TaskEvents(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	events, err := b.TaskEvents(t.Context())
	must.NoError(t, err)
	time.Sleep(100 * time.Millisecond) // until the stream is open
	cfg := b.task(t, "command = \"/bin/hello\"\nargs = [\"sleep\", \"'1h'\"]\nnetwork_mode = \"none\"")
	b.start(t, cfg)
	messages := eventsUntil(t, events, cfg, "Started in ")
	must.SliceContains(t, messages, `Read as a shell would, since no shell runs the command: config.args[1]: write "1h"`)
	must.LessEq(t, 8, len(messages), must.Sprint(messages)) // Nomad keeps ten
	t.Log(strings.Join(messages, "\n"))
}

// eventsUntil returns the messages of a task's events, up to one that begins with last.
func eventsUntil(t *testing.T, events <-chan *drivers.TaskEvent, cfg *drivers.TaskConfig, last string) (messages []string) {
	t.Helper()
	for len(messages) == 0 || !strings.HasPrefix(messages[len(messages)-1], last) {
		select {
		case e := <-events:
			must.Eq(t, cfg.ID, e.TaskID)
			must.Eq(t, cfg.AllocID, e.AllocID)
			must.Eq(t, "web", e.TaskName)
			messages = append(messages, e.Message)
		case <-time.After(5 * time.Second):
			t.Fatal("no more events after", messages)
		}
	}
	return messages
}

// eventOf waits for an event of the task that contains text, and returns its message.
func eventOf(t *testing.T, events <-chan *drivers.TaskEvent, cfg *drivers.TaskConfig, text string) string {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case e := <-events:
			if e.TaskID == cfg.ID && strings.Contains(e.Message, text) {
				return e.Message
			}
		case <-late:
			t.Fatalf("no event with %q", text)
		}
	}
}

// events returns the events of the driver, kept from now on until they are read: Nomad's
// eventer drops what a receiver does not take within two seconds, and a start can be slower.
func (b *bed) events(t *testing.T) <-chan *drivers.TaskEvent {
	t.Helper()
	all, err := b.driver.TaskEvents(t.Context())
	must.NoError(t, err)
	kept := make(chan *drivers.TaskEvent, maxQueued)
	go func() {
		for {
			select {
			case e := <-all:
				select {
				case kept <- e:
				case <-t.Context().Done():
					return
				}
			case <-t.Context().Done():
				return
			}
		}
	}()
	return kept
}
