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

// StartOptions say how a pot is started by hand.
type StartOptions struct {
	DNS       string       // address of the pot that others resolve names by; "" is DefaultDNS
	Trust     bool         // hooks and mounts are the operator's, whoever has set them
	NoCommand bool         // without its command, and what comes with that
	Tell      func(string) // of what is as it should not be; may be nil

	// OnExit is run when the command of a pot that is not persistent has ended, for what
	// nobody else waits for: argument vector, the first a path; none: nothing.
	OnExit []string

	supervisor string // path of pot-supervisor, which starts hooks
}

// DefaultDNS is POT_DNS_IP where it is not set.
const DefaultDNS = "10.192.0.2"

func (o *StartOptions) tell(format string, args ...any) {
	if o.Tell != nil {
		o.Tell(fmt.Sprintf(format, args...))
	}
}

// Start starts the pot that has a dataset of its own, by its settings, after those
// that it depends on. It goes down the very steps of a task's pot, but that no dataset
// is made. One that runs is left as it is, and already is true.
func Start(ctx context.Context, ps *life.Pots, name pot.Name, o StartOptions) (p *life.Pot, already bool, err error) {
	return start(ctx, ps, name, o, map[pot.Name]bool{})
}

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
			return nil, false, fmt.Errorf("pot %s, that it depends on: %w", on, err)
		}
	}
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if p, err := findRunning(ctx, ps, name); err != nil || p != nil {
		return p, true, err // somebody else has started it meanwhile
	}
	p, err = makePot(ctx, ps, s, o)
	return p, false, err
}

// makeOwn makes the pot and starts its command.
func makePot(ctx context.Context, ps *life.Pots, s *Pot, o StartOptions) (*life.Pot, error) {
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
		spec.Persistent = true // it has no command to end with
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
		o.tell("pot %s: mark it to be pruned: %v", s.name, err)
	}
	s.hook(ctx, conf.PostStart, p, o)
	return p, nil
}

// Running returns a pot that was started by hand and is running; nil if it is not. What is
// left of one that has ended, or that a reboot ended, is taken away.
func Running(ctx context.Context, ps *life.Pots, name pot.Name) (*life.Pot, error) {
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return findRunning(ctx, ps, name)
}

func findRunning(ctx context.Context, ps *life.Pots, name pot.Name) (*life.Pot, error) {
	p, err := ps.Find(name)
	_, jailed := ps.Host().Jails.Find(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(jailed, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrNotExist) && jailed == nil:
		return nil, fmt.Errorf("pot %s: is running, and was not started here", name)
	case err != nil && !errors.As(err, new(life.DamagedRecord)):
		return nil, err
	case err != nil:
		if p, err = damaged(ctx, ps, name, err); err != nil {
			return nil, err
		}
		if jailed == nil {
			return p, nil // it can be stopped, and no more
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

// ownRemains is what is left of a pot that was started by hand, when a crash has damaged its
// record. Its dataset stays.
func damaged(ctx context.Context, ps *life.Pots, name pot.Name, why error) (*life.Pot, error) {
	if _, err := Open(ctx, ps.Host(), name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // a task's, by its labels
	}
	return ps.Damaged(name, why, true), nil
}

// Stop stops a pot that was started by hand, and takes away all of it but its
// dataset. One that does not run is no error.
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

// grace is how long a pot has to end by itself (the attribute stop_timeout).
func (s *Pot) grace() time.Duration {
	n, _ := strconv.ParseUint(conf.NewPotAttribute("stop_timeout"), 10, 31)
	if c, err := s.Conf(); err == nil {
		n, _ = strconv.ParseUint(c.Attribute("stop_timeout"), 10, 31) // parsed, so a number
	}
	return time.Duration(n) * time.Second
}

// RunsRC tells whether the pot's command is FreeBSD's own, which starts services and
// ends: the attribute no-rc-script says that it is not.
func RunsRC(ctx context.Context, p *life.Pot) bool {
	s, err := Open(ctx, p.Host(), p.Name())
	if err != nil {
		return false
	}
	c, err := s.Conf()
	return err == nil && c.Attribute("no-rc-script") != "YES"
}
