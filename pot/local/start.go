package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// StartOptions are options for Start and Stop.
type StartOptions struct {
	DNS       string       // address of the name server for pots with pot.dns=pot; "" is DefaultDNS
	Trust     bool         // approve the pot's hooks and mounts, whoever set them
	NoCommand bool         // do not run the command, hooks and dependencies
	Tell      func(string) // receives warnings; may be nil

	// OnExit is the argument vector of a program that is run when the command of a pot that is
	// not persistent has exited: nobody else waits for that. The first argument is a path.
	// It may be empty.
	OnExit []string

	supervisor string // path of pot-supervisor, which starts hooks
}

// DefaultDNS is the default of POT_DNS_IP in pot.conf(5) of the host.
const DefaultDNS = "10.192.0.2"

func (o *StartOptions) tell(format string, args ...any) {
	if o.Tell != nil {
		o.Tell(fmt.Sprintf(format, args...))
	}
}

// Start starts a pot by its settings, after the pots that it depends on. It creates the pot
// by the same steps as a task's pot (life.Pots.Create), except that it clones no dataset.
// If the pot runs, Start changes nothing and already is true. A dependency that cannot be
// started fails the start; those started before it keep running. pot ignores such a
// failure.
func Start(ctx context.Context, ps *life.Pots, name pot.Name, o StartOptions) (p *life.Pot, already bool, err error) {
	return start(ctx, ps, name, o, map[pot.Name]bool{})
}

// start is Start. It skips dependencies in begun, so that a cycle ends.
func start(ctx context.Context, ps *life.Pots, name pot.Name, o StartOptions, begun map[pot.Name]bool) (p *life.Pot, already bool, err error) {
	begun[name] = true
	s, err := Open(ctx, ps.Host(), name)
	if err != nil {
		return nil, false, err
	}
	if p, err := Running(ctx, ps, name); err != nil || p != nil {
		return p, true, err
	}
	if err := s.clearImageLabels(ctx); err != nil {
		return nil, false, err
	}
	if o.Trust {
		if err := s.Approve(ctx); err != nil {
			return nil, false, err
		}
	}
	deps, err := s.Deps()
	if err != nil {
		return nil, false, err
	}
	for _, on := range deps {
		if begun[on] || o.NoCommand {
			continue
		}
		if _, _, err := start(ctx, ps, on, o, begun); err != nil {
			return nil, false, fmt.Errorf("start the dependency %s: %w", on, err)
		}
	}
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if p, err := findRunning(ctx, ps, name); err != nil || p != nil {
		return p, true, err // it was started before this call had the lock
	}
	p, err = create(ctx, ps, s, o)
	return p, false, err
}

// create creates the pot from its settings and starts its command. The prestart hook runs
// before the jail exists and poststart after the command was started, as in pot. A hook
// that fails changes nothing.
func create(ctx context.Context, ps *life.Pots, s *Pot, o StartOptions) (*life.Pot, error) {
	if o.DNS == "" {
		o.DNS = DefaultDNS
	}
	o.supervisor = ps.Supervisor()
	spec, err := s.Spec(ctx, o.DNS)
	if err != nil {
		return nil, err
	}
	if !spec.Persistent {
		spec.OnExit = o.OnExit
	}
	if o.NoCommand {
		spec.Persistent = true // there is no command with whose exit it could end
	} else {
		s.hook(ctx, conf.PreStart, nil, o)
	}
	p, err := ps.Create(ctx, spec)
	if err != nil {
		return nil, err
	}
	for _, note := range p.Notes() {
		o.tell("pot %s: %s", s.name, note)
	}
	if o.NoCommand {
		return p, nil
	}
	if err := p.Start(ctx, nil); err != nil {
		return nil, errors.Join(err, pot.Undo(ctx, p.Destroy))
	}
	err = s.edit(func(c *conf.Lines) error {
		if c.Attribute("prunable") != "YES" {
			return nil
		}
		return c.Set("pot.attr."+readOnly, "YES")
	})
	if err != nil {
		o.tell("pot %s: mark it for pruning: %v", s.name, err)
	}
	s.hook(ctx, conf.PostStart, p, o)
	return p, nil
}

// Running returns a pot that Start started and that still runs, or nil. If the pot has exited, or
// a reboot ended it, Running removes what is left of its run.
func Running(ctx context.Context, ps *life.Pots, name pot.Name) (*life.Pot, error) {
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return findRunning(ctx, ps, name)
}

// findRunning is Running, for a caller that holds the pot's lock.
func findRunning(ctx context.Context, ps *life.Pots, name pot.Name) (*life.Pot, error) {
	p, err := ps.Find(name)
	_, jailed := ps.FindJail(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(jailed, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrNotExist) && jailed == nil:
		return nil, fmt.Errorf("pot %s: is running, but its jail was not created by this program", name)
	case err != nil && !errors.As(err, new(life.DamagedRecord)):
		return nil, err
	case err != nil:
		if p, err = damaged(ctx, ps, name, err); err != nil {
			return nil, err
		}
		if jailed == nil {
			return p, nil // enough to stop it
		}
		return nil, p.Destroy(ctx)
	case !p.InPlace():
		return nil, fmt.Errorf("pot %s: %w", name, ErrTaskPot)
	case jailed == nil && (p.Persistent() || p.Running()):
		return p, nil
	case jailed != nil && !errors.Is(jailed, fs.ErrNotExist):
		return nil, jailed
	}
	saveLastRun(ctx, p)
	return nil, p.Destroy(ctx)
}

// damaged returns a pot whose record a crash has damaged, as life.Pots.Damaged does:
// destroying it leaves the dataset. why is the error of the record. It returns ErrTaskPot
// if the dataset is a task's. Without a record the program cannot know the pot's networks
// or mounts: the steps that undo them look on the host instead.
func damaged(ctx context.Context, ps *life.Pots, name pot.Name, why error) (*life.Pot, error) {
	if _, err := Open(ctx, ps.Host(), name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return ps.Damaged(name, why, true), nil
}

// Stop stops a pot that Start started and removes all of it except its dataset. If the pot
// does not run, Stop returns false and no error. If it fails, what is left keeps its
// record, and Stop can be called again. exec_stop, SIGTERM and the wait are one after the
// other within stop_timeout (life.Pot.Stop).
func Stop(ctx context.Context, ps *life.Pots, name pot.Name, o StartOptions) (stopped bool, err error) {
	o.supervisor = ps.Supervisor()
	s, err := Open(ctx, ps.Host(), name)
	if err != nil {
		return false, err
	}
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return false, err
	}
	defer unlock()
	p, err := findRunning(ctx, ps, name)
	if err != nil || p == nil {
		return false, err
	}
	began := p.Running() || p.Exited(ctx) != nil
	if began {
		s.hook(ctx, conf.PreStop, p, o)
	}
	grace := s.grace()
	// The command has ended, and daemons may run: /etc/rc starts them and exits.
	if !p.Running() {
		p.SignalAll(ctx, grace)
	}
	if err := p.Stop(ctx, syscall.SIGTERM, grace); err != nil {
		return false, err
	}
	saveLastRun(ctx, p)
	if err := p.Destroy(ctx); err != nil {
		return false, err
	}
	if began {
		s.hook(ctx, conf.PostStop, p, o)
	}
	return true, nil
}

// grace returns how long a pot may take to exit before it is killed (attribute
// stop_timeout). A pot.conf that cannot be read gives pot's default: the pot must be
// stopped all the same.
func (s *Pot) grace() time.Duration {
	n, _ := strconv.ParseUint(conf.NewPotAttribute("stop_timeout"), 10, 31)
	if c, err := s.Conf(); err == nil {
		n, _ = strconv.ParseUint(c.Attribute("stop_timeout"), 10, 31) // parsed, so a number
	}
	return time.Duration(n) * time.Second
}

// RunsRC reports whether the pot's command is FreeBSD's /etc/rc, which starts services and exits:
// the attribute no-rc-script is not YES.
func RunsRC(ctx context.Context, p *life.Pot) bool {
	s, err := Open(ctx, p.Host(), p.Name())
	if err != nil {
		return false
	}
	c, err := s.Conf()
	return err == nil && c.Attribute("no-rc-script") != "YES"
}
