package driver

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// stateVersion is the version of the layout of state. Versions 1 and 2 are from
// nomad-pot-driver, whose state has nothing that this driver could find a pot by.
const stateVersion = 3

// state is what Nomad stores of a running task and returns to RecoverTask. Nomad
// writes it to disk, so it must hold no secret and no environment. Nomad does not
// return the config block of the task: what is needed of that is in the state.
type state struct {
	Pot           string    `codec:"pot"`
	Image         string    `codec:"image"` // image.Ref.String
	Digest        string    `codec:"digest"`
	Started       time.Time `codec:"started"`
	IP            string    `codec:"ip"`
	PortMap       portMap   `codec:"ports"`
	AutoAdvertise bool      `codec:"on_wire"` // IP is an alias of an interface, which others can reach
	WorkDir       string    `codec:"work_dir"`
}

// handle returns the handle of a running task with this state.
func (s *state) handle(cfg *drivers.TaskConfig) (*drivers.TaskHandle, error) {
	h := drivers.NewTaskHandle(stateVersion)
	h.Config = cfg
	h.State = drivers.TaskStateRunning
	if err := h.SetDriverState(s); err != nil {
		return nil, fmt.Errorf("internal error: encode state: %w", err)
	}
	return h, nil
}

// readState decodes a handle's state. It refuses one of another version.
func readState(h *drivers.TaskHandle) (*state, error) {
	switch {
	case h == nil || h.Config == nil:
		return nil, errors.New("task handle without a task")
	case h.Version < stateVersion:
		return nil, fmt.Errorf("task handle version %d is from nomad-pot-driver, whose tasks cannot be recovered", h.Version)
	case h.Version > stateVersion:
		return nil, fmt.Errorf("task handle version %d is from a newer driver: this one reads version %d", h.Version, stateVersion)
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

// network returns the pot's network for Nomad, or nil if the pot has no address of
// its own. Other machines cannot reach an address on a bridge, so Nomad must
// advertise it only for services that ask for it.
func (s *state) network() *drivers.DriverNetwork {
	if s.IP == "" {
		return nil
	}
	return &drivers.DriverNetwork{IP: s.IP, PortMap: s.PortMap, AutoAdvertise: s.AutoAdvertise}
}
