package pot

import "net/netip"

// Config is what the pots of a host have in common.
type Config struct {
	Dir        string // records and supervisors' files: root's alone
	Network    Network
	Bridges    string // directory of what private bridges there are; "" for none
	Supervisor string // path of pot-supervisor

	// Reserved are addresses that no pot is given.
	Reserved []netip.Addr

	// AllowAttributes are those that an image may set; others of it are not.
	AllowAttributes []string

	// System is what the host's pot.conf says, with defaults for ZFSRoot, Cache and
	// FSRoot. A life.Pots does not use it.
	System SystemConf

	// Log is told what was damaged and has been given up; may be nil.
	Log func(message string)
}
