package pot

import "net/netip"

// Config is the configuration that all pots of a host share.
type Config struct {
	Dir        string // for records and supervisors' files; only root can read it
	Network    Network
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
