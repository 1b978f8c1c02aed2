package freebsd

import (
	"context"
	"os"
	"sync"

	"nomad-driver-pot/pot/run"
)

// forwarding is the sysctl by which the kernel passes on packets between
// interfaces (inet(4)). Its counterpart for IPv6 is not needed: a pot's IPv6 is
// bridged with the uplink, not routed, and a host that forwards IPv6 ignores the
// advertisements of routers (inet6(4)).
const forwarding = "net.inet.ip.forwarding"

// routing connects the pots' network to other networks: the kernel forwards the
// packets of pots, and pf gives them an address of the uplink. Nothing of it
// belongs to a bridge, so it is there whoever created the bridge.
type routing struct {
	runner run.Runner
	kernel Kernel
	config Config

	mu     sync.Mutex
	loaded os.FileInfo // pf's device when this process loaded the NAT rules; nil: not loaded
}

// ensure turns on forwarding and loads the NAT rules, and runs no command where
// neither is needed: forwarding is read by a system call, and rules that this
// process has loaded stay until pf is unloaded or forget is called. Without pf
// or an uplink there is no NAT, and ensure returns nil: Check reports it. The caller
// holds Config.LockFile.
func (r *routing) ensure(ctx context.Context) error {
	if on, err := r.kernel.Sysctl(forwarding); err != nil || on == 0 {
		if _, err := r.runner.Run(ctx, nil, "sysctl", forwarding+"=1"); err != nil {
			return err
		}
	}
	device, err := os.Stat(pfDevice)
	if err != nil || r.config.Interface == "" || r.isLoaded(device) {
		return nil
	}
	if err := load(ctx, r.runner, natAnchor, natRules(r.config)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = device
	return nil
}

// isLoaded reports whether this process loaded the NAT rules into the pf that has
// this device. A pf that was unloaded and loaded again has lost all rules, and its
// device is a new one (sys/netpfil/pf/pf_ioctl.c, pf_load; a device's time is
// when make_dev(9) made it).
func (r *routing) isLoaded(device os.FileInfo) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded != nil && os.SameFile(r.loaded, device) && r.loaded.ModTime().Equal(device.ModTime())
}

// forget makes the next ensure load the NAT rules again. Check calls it when
// somebody has flushed them. It may be called at any time.
func (r *routing) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = nil
}
