package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// A task can have the network of another task of its allocation (network_mode task:NAME),
// or one that all tasks of the allocation share (group). Nomad tells a task nothing of the
// others: they are found by the names and labels of their pots.

// Values of network_mode, for which a pot has pot.Joined.
const (
	taskNetwork  pot.NetworkMode = "task" // written task:NAME
	groupNetwork pot.NetworkMode = "group"
)

// joins returns the task whose network the job's task joins, or whether it is the group's.
func (c *TaskConfig) joins() (task string, group bool) {
	task, _ = strings.CutPrefix(c.NetworkMode, string(taskNetwork)+":")
	if task == c.NetworkMode {
		task = ""
	}
	return task, c.NetworkMode == string(groupNetwork)
}

// publishJoined returns the ports of a task that joins a network: it publishes none, and
// has the ports of its group in its environment.
func (c *TaskConfig) publishJoined(f *problems, p *publication) {
	reason := "the task whose network it is publishes its ports: name them there"
	if _, group := c.joins(); group {
		reason = "the group's network publishes all ports of the group"
	}
	if c.Ports != nil {
		f.add("config.ports", "cannot be set with network_mode %q: %s", c.NetworkMode, reason)
	}
	if len(c.PortMap) > 0 {
		f.add("config.port_map", "cannot be set with network_mode %q: %s", c.NetworkMode, reason)
	}
}

// planJoin sets what a task that joins a network needs. The pot of another task is known
// only when it runs (awaitOwner); until then the name of the group's network stands for it.
func (p *plan) planJoin(f *problems, c *TaskConfig, cfg *drivers.TaskConfig) {
	if c.mode() != pot.Joined {
		return
	}
	task, group := c.joins()
	p.spec.Of = groupPotName(cfg.AllocID)
	if group {
		all := &TaskConfig{}
		p.shared = &pot.Spec{
			Name: p.spec.Of, Bare: true, Network: pot.PublicBridge, AnyTransport: true,
			Labels: map[string]string{labelAlloc: cfg.AllocID},
			Ports:  all.publish(f, cfg.Resources).ports,
		}
		return
	}
	p.joins = task
	if task == TaskID(cfg.ID).taskName() {
		f.add("config.network_mode", "a task cannot join its own network: %q", c.NetworkMode)
	}
}

// ownerInterval is the interval at which a task is looked for whose network another joins.
const ownerInterval = 100 * time.Millisecond

// awaitOwner waits until the task runs whose network p's task joins, and sets its pot. It
// does nothing for other tasks. The image is pulled before, so that both tasks pull at the
// same time; nothing is locked meanwhile. Nomad may try again after a wait that was too
// long.
func (d *Driver) awaitOwner(ctx context.Context, b *backend, p *plan, cfg *drivers.TaskConfig, emit eventFunc) error {
	if p.joins == "" {
		return nil
	}
	if _, err := d.ensure(ctx, b, p, emit); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errStartTimeout)
	defer cancel()
	for told := false; ; told = true {
		owner, err := findOwner(ctx, b.pots, cfg.AllocID, p.joins)
		if err == nil {
			p.spec.Of = owner
			return nil
		}
		if !errors.Is(err, errNotYet) {
			return err
		}
		if !told {
			emit("Waiting for task %q, whose network this task joins", p.joins)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(ownerInterval):
		}
	}
}

// errNotYet is the error of a task whose network cannot be joined yet.
var errNotYet = errors.New("its network cannot be joined yet")

// findOwner returns the pot of a task of the allocation, if its network can be joined. The
// error is errNotYet if that may change.
func findOwner(ctx context.Context, pots *life.Pots, alloc, task string) (pot.Name, error) {
	all, err := allocPots(pots, alloc)
	if err != nil {
		return "", err
	}
	for _, p := range all {
		if TaskID(p.Label(labelTask)).taskName() != task {
			continue
		}
		if err := joinable(task, p.Spec()); err != nil {
			return "", err
		}
		if !p.Running() {
			continue // it is being started, or has ended: then another pot follows
		}
		if _, err := pots.CanJoin(ctx, p.Name()); err == nil {
			return p.Name(), nil
		}
	}
	return "", fmt.Errorf("task %q: %w: no pot of that task is running in this allocation", task, errNotYet)
}

// joinable returns an error if the network of a task cannot be joined at any time.
func joinable(task string, s pot.Spec) error {
	const where = "config.network_mode"
	var f problems
	switch {
	case s.Network == pot.Joined:
		f.add(where, "the network of task %q is not its own: join the task or the group whose network it is", task)
	case !s.Network.VNET():
		f.add(where, "the network of task %q is %s: it must be %s or %s to be joined", task, s.Network, pot.PublicBridge, pot.PrivateBridge)
	}
	return f.err()
}

// create creates the task's pot, and the network of its group if it is to have that.
func (p *plan) create(ctx context.Context, pots *life.Pots) (*life.Pot, error) {
	if p.shared == nil {
		return create(ctx, pots, p.spec.Name, func() (*life.Pot, error) { return pots.Create(ctx, p.spec) })
	}
	p.shared.Image = p.spec.Image
	return create(ctx, pots, p.spec.Name, func() (*life.Pot, error) { return pots.CreateIn(ctx, p.spec, *p.shared) })
}

// leavePorts removes from the ports of the group's network those that other tasks of the
// allocation publish, whose network is not the group's.
func (pc *portClaims) leavePorts(cfg *drivers.TaskConfig, pots *life.Pots, p *plan) error {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	others, err := pc.others(cfg, pots)
	if err != nil {
		return fmt.Errorf("find the ports of other tasks: %w", err)
	}
	for _, other := range others {
		if other.group || other.ended {
			continue
		}
		p.shared.Ports = without(p.shared.Ports, other.ports)
	}
	return nil
}
