package native

import (
	"cmp"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/run"
)

// Name is the name of the host that Open returns.
const Name = "freebsd"

// Open returns FreeBSD itself as the host.
func Open(c potconf.HostConfig) (pot.Host, error) {
	return freebsd.New(run.Host{}, freebsd.Native{}, freebsd.Config{
		ZFSRoot: c.ZFSRoot, Interface: c.Interface, Network: c.Network, Isolate: c.Isolate,
		Supervisor: c.Supervisor, LockFile: "/var/run/nomad-driver-pot.bridge.lock",
		InterfaceAddr: c.InterfaceAddr, Extra: c.Extra, PFRulesHook: c.PFRulesHook, StatusDir: cmp.Or(c.StatusDir, "/tmp"),
	}), nil
}
