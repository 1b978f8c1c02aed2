package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// links are epair(4)s on a bridge(4). A pot's is found again by its description
// and its group. As with pot, the public bridge is the one that has the
// gateway's address (pot-reference 8.2); one that we made says so in its
// description, and goes with its last pot.
type links struct {
	runner run.Runner
	kernel Kernel
	config Config

	mu      sync.Mutex
	devices map[pot.Name]string // the host's ends, as far as this process knows
}

const (
	group             = "pot" // of interfaces: pot's own
	bridgeDescription = "nomad-driver-pot public bridge"
)

func (l *links) ifconfig(ctx context.Context, argv ...string) (string, error) {
	out, err := l.runner.Run(ctx, nil, append([]string{"ifconfig"}, argv...)...)
	return strings.TrimSpace(out), typed(err)
}

// interfaces are all that the host has.
func (l *links) interfaces(ctx context.Context) ([]*iface, error) {
	out, err := l.ifconfig(ctx, "-a")
	return parseInterfaces(out), err
}

// of is the host's end of a pot's pair; nil if there is none.
func of(all []*iface, name pot.Name) *iface {
	for _, i := range all {
		if i.in("epair") && i.in(group) && i.description == string(name) {
			return i
		}
	}
	return nil
}

// Attach is pot.Links'.
func (l *links) Attach(ctx context.Context, link pot.Link) (err error) {
	unlock, err := lock(l.config.LockFile)
	if err != nil {
		return err
	}
	defer unlock()
	l.mu.Lock()
	device := l.devices[link.Pot]
	l.mu.Unlock()
	if device != "" {
		return &fs.PathError{Op: "attach", Path: device, Err: fs.ErrExist}
	}
	bridge, err := l.publicBridge(ctx, link)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.undo(context.WithoutCancel(ctx), device))
		}
	}()
	device, err = l.ifconfig(ctx, "epair", "create", "group", group, "description", string(link.Pot), "up")
	if err != nil {
		return err
	}
	add := []string{bridge, "addm", device}
	if l.config.Isolate {
		add = append(add, "private", device)
	}
	if _, err := l.ifconfig(ctx, add...); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.devices[link.Pot] = device
	return nil
}

// undo takes away a pair that was not attached, and a bridge with no pot on it.
func (l *links) undo(ctx context.Context, device string) error {
	var err error
	if device != "" {
		_, err = l.ifconfig(ctx, device, "destroy")
		err = unless(fs.ErrNotExist, err)
	}
	return errors.Join(err, l.dropBridge(ctx))
}

// publicBridge is the bridge that has the gateway's address, made if there is
// none, with the network's way out.
func (l *links) publicBridge(ctx context.Context, link pot.Link) (string, error) {
	names, err := l.kernel.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	if name, ok := names[link.Gateway]; ok {
		return name, nil
	}
	if _, err := l.runner.Run(ctx, nil, "sysctl", "net.inet.ip.forwarding=1"); err != nil {
		return "", err
	}
	inet := netip.PrefixFrom(link.Gateway, link.Address.Bits()).String()
	bridge, err := l.ifconfig(ctx, "bridge", "create", "inet", inet, "group", group, "description", bridgeDescription, "up")
	if err != nil {
		return "", err
	}
	if err := nat(ctx, l.runner, l.config); err != nil {
		_, undone := l.ifconfig(context.WithoutCancel(ctx), bridge, "destroy")
		return "", errors.Join(err, undone)
	}
	return bridge, nil
}

// Detach is pot.Links'. The pair may be gone already, and the bridge have no pot
// left all the same.
func (l *links) Detach(ctx context.Context, name pot.Name) error {
	unlock, err := lock(l.config.LockFile)
	if err != nil {
		return err
	}
	defer unlock()
	l.mu.Lock()
	delete(l.devices, name)
	l.mu.Unlock()
	all, err := l.interfaces(ctx)
	if err != nil {
		return err
	}
	if i := of(all, name); i != nil {
		if _, err := l.ifconfig(ctx, i.name, "destroy"); unless(fs.ErrNotExist, err) != nil {
			return err
		}
		for _, b := range all {
			b.members = slices.DeleteFunc(b.members, func(m string) bool { return m == i.name })
		}
	}
	return l.drop(ctx, all)
}

// dropBridge removes the bridge if it is ours and no pot is on it.
func (l *links) dropBridge(ctx context.Context) error {
	all, err := l.interfaces(ctx)
	if err != nil {
		return err
	}
	return l.drop(ctx, all)
}

func (l *links) drop(ctx context.Context, all []*iface) error {
	for _, i := range all {
		if i.in("bridge") && i.description == bridgeDescription && len(i.members) == 0 {
			if _, err := l.ifconfig(ctx, i.name, "destroy"); unless(fs.ErrNotExist, err) != nil {
				return err
			}
		}
	}
	return nil
}

// device is the host's end of a pot's pair.
func (l *links) device(ctx context.Context, name pot.Name) (string, error) {
	l.mu.Lock()
	device, ok := l.devices[name]
	l.mu.Unlock()
	if ok {
		return device, nil
	}
	all, err := l.interfaces(ctx)
	if err != nil {
		return "", err
	}
	if i := of(all, name); i != nil {
		return i.name, nil
	}
	return "", fmt.Errorf("interface of %s: %w", name, fs.ErrNotExist)
}

// inner is the end that goes into the pot: epair(4) names them alike.
func inner(device string) string { return strings.TrimSuffix(device, "a") + "b" }

// lock keeps all others, in any process, from what path stands for.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	return func() { f.Close() }, nil
}
