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

// Ports returns the pot's published ports.
func (p *Pot) Ports() []pot.Port { return p.record.Spec.Ports }

// PortsImplied reports whether the pot's ports were published without being named in its
// job: Spec.Implied.
func (p *Pot) PortsImplied() bool { return p.record.Spec.Implied }

// Label returns a label of the spec; "" if it has none of that name.
func (p *Pot) Label(name string) string { return p.record.Spec.Labels[name] }

// leaveHeldPorts removes the UDP ports that another program listens on, if the same port is
// published over TCP and the spec asks for no transport (Spec.AnyTransport). It must run
// before the kernel redirects the traffic of that program. A TCP port in use is not checked
// here: the supervisor fails to listen on it.
func (p *Pot) leaveHeldPorts() {
	s := &p.record.Spec
	if !s.AnyTransport {
		return
	}
	var kept []pot.Port
	for _, port := range s.Ports {
		tcp := pot.Port{Proto: conf.TCP, Host: port.Host, To: port.To}
		if port.Proto != conf.UDP || !slices.Contains(s.Ports, tcp) || !errors.Is(tryListen(port), syscall.EADDRINUSE) {
			kept = append(kept, port)
			continue
		}
		p.note("Port %s is published over TCP only: another program uses it for UDP", port.Host)
	}
	if len(kept) < len(s.Ports) {
		p.change(func(r *record) { r.Spec.Ports = kept })
	}
}

// tryListen returns the error with which a supervisor would fail to listen on the port.
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

// Unpublish stops publishing ports, and waits until another pot can publish them. Open
// connections stay. It is for one caller at a time, as Stop and Destroy are.
func (p *Pot) Unpublish(ctx context.Context, ports []pot.Port) error {
	if p.recordErr != nil {
		return fmt.Errorf("the pot's record cannot be read: %w", p.recordErr)
	}
	listed := func(port pot.Port) bool { return slices.Contains(ports, port) }
	p.change(func(r *record) { r.Spec.Ports = slices.DeleteFunc(slices.Clone(r.Spec.Ports), listed) })
	if err := p.save(); err != nil {
		return err
	}
	if p.host.Redirects != nil && p.record.Anchor != "" {
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

// freeTimeout bounds the wait for a supervisor to close a port. Supervisors of versions
// without that request keep it open.
const freeTimeout = 10 * time.Second

// awaitFree waits until a port is free to listen on.
func awaitFree(ctx context.Context, port pot.Port) error {
	ctx, cancel := context.WithTimeoutCause(ctx, freeTimeout, fmt.Errorf("the task that uses it did not release it within %s", freeTimeout))
	defer cancel()
	for {
		if err := tryListen(port); !errors.Is(err, syscall.EADDRINUSE) {
			return nil // any other error is reported by the pot that listens next
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
