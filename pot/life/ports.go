package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"syscall"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// Ports are those that are published of the pot.
func (p *Pot) Ports() []pot.Port { return p.record.Spec.Ports }

// PortsImplied reports whether nobody has asked for the pot's ports by name.
func (p *Pot) PortsImplied() bool { return p.record.Spec.Implied }

// Label returns a label of the spec, "" if it has none of that name.
func (p *Pot) Label(name string) string { return p.record.Spec.Labels[name] }

// leaveHeldPorts takes ports off that another program has for UDP, where they are published
// for TCP and nobody has asked for UDP: before the kernel is told to redirect what that
// program is sent. What is held for TCP is for the supervisor to find, which fails.
func (p *Pot) leaveHeldPorts() {
	s := &p.record.Spec
	if !s.AnyTransport {
		return
	}
	var left []pot.Port
	for _, port := range s.Ports {
		tcp := pot.Port{Proto: conf.TCP, Host: port.Host, To: port.To}
		if port.Proto != conf.UDP || !slices.Contains(s.Ports, tcp) || !errors.Is(tryListen(port), syscall.EADDRINUSE) {
			left = append(left, port)
			continue
		}
		p.note("Port %s is published over TCP alone: another program has it for UDP", port.Host)
	}
	if len(left) < len(s.Ports) {
		p.change(func(r *record) { r.Spec.Ports = left })
	}
}

// tryListen listens for a moment, as a supervisor would.
func tryListen(port pot.Port) error {
	var l interface{ Close() error }
	var err error
	if port.Proto == conf.UDP {
		l, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(port.Host))
	} else {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(port.Host))
	}
	if err != nil {
		return err
	}
	return l.Close()
}

// Unpublish has the pot publish none of ports any more, and waits until others can.
// Connections that are open stay. It is for one caller at a time, as Stop and Destroy are.
func (p *Pot) Unpublish(ctx context.Context, ports []pot.Port) error {
	if p.recordErr != nil {
		return fmt.Errorf("the pot's record cannot be read: %w", p.recordErr)
	}
	goes := func(port pot.Port) bool { return slices.Contains(ports, port) }
	p.change(func(r *record) { r.Spec.Ports = slices.DeleteFunc(slices.Clone(r.Spec.Ports), goes) })
	if err := p.save(); err != nil {
		return err
	}
	if p.record.Anchor != "" {
		if err := p.host.Redirects.Publish(ctx, p.redirect()); err != nil {
			return err
		}
	}
	s, err := supervise.Open(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its command was never started
	}
	if err != nil {
		return err
	}
	for _, port := range ports {
		err := s.Unlisten(supervise.Forward{Proto: string(port.Proto), Listen: port.Host})
		if errors.Is(err, supervise.ErrEnded) {
			return nil
		}
		if err == nil {
			err = awaitFree(ctx, port)
		}
		if err != nil {
			return fmt.Errorf("port %s: %w", port.Host, err)
		}
	}
	return nil
}

// freeTimeout bounds the wait for a supervisor that was told to listen no more. One that
// is older than that order does not.
const freeTimeout = 10 * time.Second

// awaitFree waits until somebody could listen on a port.
func awaitFree(ctx context.Context, port pot.Port) error {
	ctx, cancel := context.WithTimeoutCause(ctx, freeTimeout, fmt.Errorf("the task that has it did not give it up within %s", freeTimeout))
	defer cancel()
	for {
		if err := tryListen(port); !errors.Is(err, syscall.EADDRINUSE) {
			return nil // whoever listens next says what else is wrong
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
