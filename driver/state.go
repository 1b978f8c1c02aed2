package driver

import (
	"fmt"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// stateVersion is the layout of state. Versions 1 and 2 were
// nomad-pot-driver's, in which nothing can be found that this driver knows.
const stateVersion = 3

// state is what Nomad keeps of a running task and gives back after a restart.
// Nomad writes it to its own disk: there is no secret in it, and no environment.
// The driver's half of a task's configuration is not given back.
type state struct {
	Pot           string    `codec:"pot"`
	Image         string    `codec:"image"` // image.Ref.String
	Digest        string    `codec:"digest"`
	Started       time.Time `codec:"started"`
	IP            string    `codec:"ip"`
	PortMap       portMap   `codec:"ports"`
	AutoAdvertise bool      `codec:"on_wire"` // others reach IP: it is an alias
	WorkDir       string    `codec:"work_dir"`
}

// handle is what StartTask returns of a task.
func (s *state) handle(cfg *drivers.TaskConfig) (*drivers.TaskHandle, error) {
	h := drivers.NewTaskHandle(stateVersion)
	h.Config = cfg
	h.State = drivers.TaskStateRunning
	if err := h.SetDriverState(s); err != nil {
		return nil, fmt.Errorf("internal error: encode state: %w", err)
	}
	return h, nil
}

// readState takes a handle apart.
func readState(h *drivers.TaskHandle) (*state, error) {
	switch {
	case h == nil || h.Config == nil:
		return nil, fmt.Errorf("no task in the handle")
	case h.Version < stateVersion:
		return nil, fmt.Errorf("a handle of version %d is nomad-pot-driver's: its tasks cannot be taken over", h.Version)
	case h.Version > stateVersion:
		return nil, fmt.Errorf("a handle of version %d is of a newer driver: this one knows %d", h.Version, stateVersion)
	}
	s := new(state)
	if err := h.GetDriverState(s); err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	if err := pot.Name(s.Pot).Validate(); err != nil {
		return nil, fmt.Errorf("state: pot: %w", err)
	}
	return s, nil
}

// network is what Nomad is told of the pot's network, nil if it has none of its
// own. Nobody else can reach an address on a bridge, so it is not to be advertised
// unless a service asks for it.
func (s *state) network() *drivers.DriverNetwork {
	if s.IP == "" {
		return nil
	}
	return &drivers.DriverNetwork{IP: s.IP, PortMap: s.PortMap, AutoAdvertise: s.AutoAdvertise}
}
