package potconf

import (
	"net/netip"

	"nomad-driver-pot/pot"
)

// Uplink is a further interface of the host that leads to a network.
type Uplink struct {
	Interface string
	Network   netip.Prefix // not valid if none is set: then no pot's traffic goes out there
}

// HostConfig is the configuration that a Host is opened with. A host ignores the fields that
// it has no use for.
type HostConfig struct {
	Dir        string // the host's state, and on Linux its datasets
	Supervisor string // path of pot-supervisor
	Network    pot.Network

	// For FreeBSD.
	ZFSRoot       string
	Interface     string     // the uplink, "" if there is none
	InterfaceAddr netip.Addr // the uplink's address for NAT; not valid: its first
	Extra         []Uplink
	Isolate       bool   // whether pots on a bridge cannot reach each other
	StatusDir     string // directory of the shell tool's files about pots that run; "" for /tmp
	PFRulesHook   string // path of a program that prints the pf rules of published ports
}

// Config is the configuration that all pots of a host share.
type Config struct {
	Dir        string // for records and supervisors' files; only root can read it
	Network    pot.Network
	Bridges    string // directory of the files that describe private bridges; "" for none
	Supervisor string // path of pot-supervisor

	// Reserved are addresses that no pot is given.
	Reserved []netip.Addr

	// AllowAttributes are the names of the attributes that an image may set. Its others
	// are ignored.
	AllowAttributes []string

	// System is what the host's pot.conf says, with defaults for ZFSRoot, Cache and
	// FSRoot. A life.Pots does not use it.
	System SystemConf

	// Log is called with a message when a damaged file is given up; it may be nil.
	Log func(message string)
}

// HostPaths are the default paths of a host.
type HostPaths struct {
	Dir       string // the driver's state
	Cache     string // image files; "" for a directory in Dir
	PotConfig string // the operator's file of pot's configuration; "" if the host has no pot
	PotRoot   string // POT_FS_ROOT; "" for Dir
}

// DefaultZFSRoot is the default of POT_ZFS_ROOT.
const DefaultZFSRoot = "zroot/pot"

// PathsFor returns the default paths of the host of that name: "freebsd" or "linux".
func PathsFor(host string) HostPaths {
	if host == "freebsd" {
		return HostPaths{Dir: "/var/db/nomad-driver-pot", Cache: "/var/cache/pot", PotConfig: "/usr/local/etc/pot/pot.conf", PotRoot: "/opt/pot"}
	}
	return HostPaths{Dir: "/var/lib/nomad-driver-pot"}
}
