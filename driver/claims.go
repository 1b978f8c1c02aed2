package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// All tasks of a group are given all of its ports, and no task is told of the others.
// Those that name ports, in ports or port_map, publish them. A task that names none
// publishes what no other task of its allocation does. The first to start may be one that
// names none: it gives a port up to one that names it.

// portClaims are the ports of tasks that are being started. Those of tasks that run are in
// the records of their pots.
type portClaims struct {
	mu     sync.Mutex
	claims map[TaskID]*portClaim
}

// A portClaim is the ports that a task publishes, or will.
type portClaim struct {
	task    TaskID
	name    string // of the task, for people
	alloc   string
	ports   []pot.Port
	implied bool
	done    chan struct{} // closed when the start is over; nil of a task that runs
	ended   bool          // the task's command has ended
}

// A takeover is ports that another task of the allocation has to give up.
type takeover struct {
	from  *portClaim
	ports []pot.Port
}

// claim takes the ports of p, but for those that it leaves to other tasks of the
// allocation, and returns those that others have to give up. A start may claim twice, and
// must call release when it is over.
func (pc *portClaims) claim(cfg *drivers.TaskConfig, pots *pot.Pots, p *plan, tell eventFunc) (over []takeover, err error) {
	p.spec.AnyTransport, p.spec.Implied = true, !p.asked
	if len(p.spec.Ports) == 0 {
		return nil, nil
	}
	pc.mu.Lock()
	defer pc.mu.Unlock()
	others, err := pc.others(cfg, pots)
	if err != nil {
		return nil, fmt.Errorf("find the ports of other tasks: %w", err)
	}
	var f problems
	for _, other := range others {
		var same []pot.Port
		for _, port := range other.ports {
			if slices.ContainsFunc(p.spec.Ports, func(own pot.Port) bool { return sameListener(own, port) }) {
				same = append(same, port)
			}
		}
		switch {
		case len(same) == 0:
		case other.ended, p.asked && other.implied:
			over = append(over, takeover{other, same})
		case p.asked:
			f.add(p.portsKey(), "task %q of this allocation publishes %s already", other.name, p.labelList(same))
		default:
			tell("Left %s to task %q, which publishes it; set config.ports to say who does", p.labelList(same), other.name)
			p.spec.Ports = slices.DeleteFunc(p.spec.Ports, func(own pot.Port) bool {
				return slices.ContainsFunc(same, func(port pot.Port) bool { return sameListener(own, port) })
			})
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
	if before := pc.claims[mine.task]; before != nil { // the same start, once more
		mine.done = before.done
	}
	pc.claims[mine.task] = mine
	return over, nil
}

// release ends the claim of a start that is over, if it has one.
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

// others are the claims of the other tasks of an allocation.
func (pc *portClaims) others(cfg *drivers.TaskConfig, pots *pot.Pots) (all []*portClaim, err error) {
	starting := map[pot.Name]bool{TaskID(cfg.ID).PotName(): true}
	for _, c := range pc.claims {
		starting[c.task.PotName()] = true
		if c.alloc == cfg.AllocID && c.task != TaskID(cfg.ID) {
			all = append(all, c)
		}
	}
	names, err := pots.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if starting[name] || !strings.HasSuffix(string(name), "_"+cfg.AllocID) { // TaskID.PotName
			continue
		}
		p, err := pots.Find(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has gone since
		}
		if err != nil || p.IsOwn() || p.Label(labelAlloc) != cfg.AllocID {
			continue // one whose record is damaged says nothing of its ports
		}
		id := TaskID(p.Label(labelTask))
		all = append(all, &portClaim{
			task: id, name: id.taskName(), alloc: cfg.AllocID,
			ports: p.Ports(), implied: p.PortsImplied(), ended: p.Signal(0) != nil,
		})
	}
	return all, nil
}

// takePorts has other tasks give their ports up.
func (d *Driver) takePorts(ctx context.Context, pots *pot.Pots, over []takeover, by string) error {
	for _, o := range over {
		if o.from.done != nil {
			select {
			case <-o.from.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := d.givePortsUp(ctx, pots, o, by); err != nil {
			return fmt.Errorf("task %q, which publishes a port of this one's: %w", o.from.name, err)
		}
	}
	return nil
}

// givePortsUp has one task give ports up. A task that is gone has none.
func (d *Driver) givePortsUp(ctx context.Context, pots *pot.Pots, o takeover, by string) error {
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
		t.emit("Gave %s up to task %q, whose config names it", hostPorts(o.ports), by)
	}
	return err
}

// hostPorts are the numbers of ports on the host, for people.
func hostPorts(ports []pot.Port) string {
	var all []string
	for _, p := range ports {
		if text := p.Host.String(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return list(all, "and")
}

// labelList are the labels of ports of p, for people.
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

// portsKey is the key of the job that names ports.
func (p *plan) portsKey() string {
	if p.mapped {
		return "config.port_map"
	}
	return "config.ports"
}

// portLabels are labels of ports by where they are on the host.
type portLabels map[netip.AddrPort]string
