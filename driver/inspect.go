package driver

import (
	"context"
	"strconv"

	"github.com/hashicorp/nomad/plugins/drivers"
)

// WaitTask implements drivers.DriverPlugin. It sends one result, when the task
// ends or if it has ended before, and none if ctx ends first.
func (d *Driver) WaitTask(ctx context.Context, id string) (<-chan *drivers.ExitResult, error) {
	t, err := d.lookup(id)
	if err != nil {
		return nil, err
	}
	results := make(chan *drivers.ExitResult, 1)
	go func() {
		defer close(results)
		select {
		case <-t.ended:
			results <- t.result.Copy()
		case <-ctx.Done():
		}
	}()
	return results, nil
}

// InspectTask implements drivers.DriverPlugin.
func (d *Driver) InspectTask(id string) (*drivers.TaskStatus, error) {
	t, err := d.lookup(id)
	if err != nil {
		return nil, err
	}
	return t.status(), nil
}

// status returns the task as it is now.
func (t *task) status() *drivers.TaskStatus {
	s := &drivers.TaskStatus{
		ID:        string(t.id),
		Name:      t.name,
		State:     drivers.TaskStateRunning,
		StartedAt: t.state.Started,
		DriverAttributes: map[string]string{
			"pot":   t.state.Pot,
			"image": t.state.Image,
		},
		NetworkOverride: t.state.network(),
	}
	if t.state.Digest != "" {
		s.DriverAttributes["digest"] = t.state.Digest
	}
	if t.state.IP != "" {
		s.DriverAttributes["ip"] = t.state.IP
	}
	if _, pid, err := t.pot.Started(); err == nil {
		s.DriverAttributes["pid"] = strconv.Itoa(pid)
	}
	if !t.running() {
		s.State = drivers.TaskStateExited
		s.CompletedAt = t.completed
		s.ExitResult = t.result.Copy()
	}
	return s
}
