package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"sync"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// Nomad gives all tasks of a group all of its ports, and tells no task of the others.
// Tasks that name ports, in ports or port_map, publish these. A task that names none
// publishes what no other task of its allocation does. If it starts first it releases a
// port later to a task that names it.

// portClaims are the ports of tasks that are being started. The ports of running tasks
// are in the records of their pots.
type portClaims struct {
	mu     sync.Mutex
	claims map[TaskID]*portClaim
}

// A portClaim is the ports that a task publishes, or will publish when it has started.
type portClaim struct {
	task    TaskID
	name    string // of the task, for messages
	alloc   string
	ports   []pot.Port
	implied bool          // the task's config names no ports
	group   bool          // it is not a task but the network of the group
	done    chan struct{} // closed when the start is over; nil if the task runs
	ended   bool          // the task's command has ended
}

// A takeover is ports that another task of the allocation must release.
type takeover struct {
	from  *portClaim
	ports []pot.Port
}

// claim claims the ports of p. It removes from p those that other tasks of the allocation
// publish, and returns those that other tasks must release. A start may claim twice, and
// must call release when it is over.
func (pc *portClaims) claim(cfg *drivers.TaskConfig, pots *life.Pots, p *plan, emit eventFunc) (takeovers []takeover, err error) {
	p.spec.AnyTransport, p.spec.Implied = true, !p.asked
	if p.shared != nil {
		return nil, pc.leavePorts(cfg, pots, p)
	}
	if len(p.spec.Ports) == 0 {
		return nil, nil
	}
	pc.mu.Lock()
	defer pc.mu.Unlock()
	others, err := pc.others(cfg, pots)
	if err != nil {
		return nil, fmt.Errorf("find the ports of other tasks: %w", err)
	}
	// A port that another task publishes too is taken over if that task has ended, or names
	// no ports and this one does. It is a problem if both name it. Else the other keeps it.
	var f problems
	for _, other := range others {
		var same []pot.Port
		for _, port := range other.ports {
			if slices.ContainsFunc(p.spec.Ports, func(mine pot.Port) bool { return sameListener(mine, port) }) {
				same = append(same, port)
			}
		}
		switch {
		case len(same) == 0:
		case other.group && p.asked:
			f.add(p.portsKey(), "the group's network already publishes %s", p.labelList(same))
		case other.group:
			emit("Did not publish %s: the group's network does", p.labelList(same))
			p.spec.Ports = without(p.spec.Ports, same)
		case other.ended, p.asked && other.implied:
			takeovers = append(takeovers, takeover{other, same})
		case p.asked:
			f.add(p.portsKey(), "task %q of this allocation already publishes %s", other.name, p.labelList(same))
		default:
			emit("Did not publish %s: task %q does; set config.ports to choose", p.labelList(same), other.name)
			p.spec.Ports = without(p.spec.Ports, same)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	mine := &portClaim{
		task: TaskID(cfg.ID), name: cfg.Name, alloc: cfg.AllocID,
		ports: slices.Clone(p.spec.Ports), implied: !p.asked, done: make(chan struct{}),
	}
	if pc.claims == nil {
		pc.claims = map[TaskID]*portClaim{}
	}
	if before := pc.claims[mine.task]; before != nil { // the same start claims again
		mine.done = before.done
	}
	pc.claims[mine.task] = mine
	return takeovers, nil
}

// release removes the claim of a start that is over, if it has one.
func (pc *portClaims) release(id TaskID) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if c := pc.claims[id]; c != nil {
		delete(pc.claims, id)
		close(c.done)
	}
}

// sameListener reports whether two ports cannot be published at once.
func sameListener(a, b pot.Port) bool { return a.Proto == b.Proto && a.Host == b.Host }

// without returns the ports that can be published beside others.
func without(ports, others []pot.Port) []pot.Port {
	return slices.DeleteFunc(ports, func(mine pot.Port) bool {
		return slices.ContainsFunc(others, func(port pot.Port) bool { return sameListener(mine, port) })
	})
}

// others returns the claims of the other tasks of an allocation, of those that run too.
func (pc *portClaims) others(cfg *drivers.TaskConfig, pots *life.Pots) (all []*portClaim, err error) {
	starting := map[pot.Name]bool{TaskID(cfg.ID).PotName(): true}
	for _, c := range pc.claims {
		starting[c.task.PotName()] = true
		if c.alloc == cfg.AllocID && c.task != TaskID(cfg.ID) {
			all = append(all, c)
		}
	}
	there, err := allocPots(pots, cfg.AllocID) // a damaged record does not say which ports its pot publishes
	if err != nil {
		return nil, err
	}
	for _, p := range there {
		if starting[p.Name()] {
			continue
		}
		id := TaskID(p.Label(labelTask))
		all = append(all, &portClaim{
			task: id, name: id.taskName(), alloc: cfg.AllocID,
			ports: p.Ports(), implied: p.PortsImplied(), group: p.Bare(), ended: !p.Running() && !p.Bare(),
		})
	}
	return all, nil
}

// takePorts has other tasks release their ports to task by. It waits for tasks that are
// being started.
func (d *Driver) takePorts(ctx context.Context, pots *life.Pots, takeovers []takeover, by string) error {
	for _, o := range takeovers {
		if o.from.done != nil {
			select {
			case <-o.from.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := d.unpublish(ctx, pots, o, by); err != nil {
			return fmt.Errorf("unpublish %s of task %q: %w", hostPorts(o.ports), o.from.name, err)
		}
	}
	return nil
}

// unpublish has one task release ports. A task that is gone has none.
func (d *Driver) unpublish(ctx context.Context, pots *life.Pots, o takeover, by string) error {
	t := d.tasks.find(o.from.task)
	if t == nil {
		p, err := pots.Find(o.from.task.PotName())
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return p.Unpublish(ctx, o.ports)
	}
	t.changes.Lock()
	defer t.changes.Unlock()
	err := t.pot.Unpublish(ctx, o.ports)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was destroyed meanwhile
	}
	if err == nil && t.running() {
		t.emit("Unpublished %s: the config of task %q names it", hostPorts(o.ports), by)
	}
	return err
}

// hostPorts lists the addresses of ports on the host, for people.
func hostPorts(ports []pot.Port) string {
	var all []string
	for _, p := range ports {
		if text := p.Host.String(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return list(all, "and")
}

// labelList lists the labels of ports of p, for people.
func (p *plan) labelList(ports []pot.Port) string {
	var all []string
	for _, port := range ports {
		label := fmt.Sprintf("port %q", p.labels[port.Host])
		if !slices.Contains(all, label) {
			all = append(all, label)
		}
	}
	return list(all, "and")
}

// portsKey returns the job's key that names ports.
func (p *plan) portsKey() string {
	if p.mapped {
		return "config.port_map"
	}
	return "config.ports"
}

// portLabels maps addresses on the host to the labels of ports.
type portLabels map[netip.AddrPort]string
