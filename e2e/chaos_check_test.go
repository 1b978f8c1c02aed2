//go:build e2e

package e2e

import (
	"errors"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

// The chaos test itself must notice a code that no command had.
func TestChaos_inventedCode(t *testing.T) {
	code := batchCode
	for name, c := range map[string]struct {
		event    api.TaskEvent
		code     *int
		invented bool
	}{
		"a batch job ends with its code":        {api.TaskEvent{ExitCode: batchCode}, &code, false},
		"a batch job ends with success":         {api.TaskEvent{ExitCode: 0}, &code, true},
		"a service ends by itself":              {api.TaskEvent{ExitCode: 1}, nil, true},
		"a signal ends a service":               {api.TaskEvent{ExitCode: 137, Signal: 9}, nil, false},
		"nobody knows how a service ended":      {api.TaskEvent{ExitCode: 1, DisplayMessage: "the exit status of the command is unknown"}, nil, false},
		"an unknown end is no success of a job": {api.TaskEvent{ExitCode: 0, DisplayMessage: "the exit status of the command is unknown"}, &code, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.event.Type = api.TaskTerminated
			alloc := &api.Allocation{TaskStates: map[string]*api.TaskState{"task": {Events: []*api.TaskEvent{&c.event}}}}
			err := (&chaos{T: t}).events(alloc, c.code)
			must.Eq(t, c.invented, errors.As(err, new(inventedCode)), must.Sprint(err))
		})
	}
}
