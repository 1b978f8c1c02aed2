package driver

import (
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestState(t *testing.T) {
	leak.Check(t, leak.Foreign)
	s := &state{
		Pot: "web_1", Image: "https://images.example.org/pots/web:1.0", Digest: "skein1024:00",
		Started: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), IP: "10.192.0.2",
		PortMap: portMap{"http": 8080}, WorkDir: "/srv",
	}
	cfg := &drivers.TaskConfig{ID: testID, Env: map[string]string{"SECRET": "planted-secret"}}
	h, err := s.handle(cfg)
	must.NoError(t, err)
	must.Eq(t, drivers.TaskStateRunning, h.State)

	t.Run("a state is read as it was written", func(t *testing.T) {
		got, err := readState(h)
		must.NoError(t, err)
		must.True(t, s.Started.Equal(got.Started))
		got.Started = s.Started
		must.Eq(t, s, got)
	})

	for name, change := range map[string]func(*drivers.TaskHandle){
		"a state that cannot be decoded is an error": func(h *drivers.TaskHandle) { h.DriverState = []byte("x") },
		"a handle without a state is an error":       func(h *drivers.TaskHandle) { h.DriverState = nil },
		"a handle without a task is an error":        func(h *drivers.TaskHandle) { h.Config = nil },
		"the state of another version is an error":   func(h *drivers.TaskHandle) { h.Version++ },
		"a pot's name that is a path is an error":    func(h *drivers.TaskHandle) { must.NoError(t, h.SetDriverState(&state{Pot: "../web"})) },
		"a handle of nomad-pot-driver is an error":   func(h *drivers.TaskHandle) { h.Version = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			other := *h
			change(&other)
			_, err := readState(&other)
			must.Error(t, err)
		})
	}
	_, err = readState(nil)
	must.Error(t, err)
}
