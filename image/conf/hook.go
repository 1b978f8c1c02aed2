package conf

// A Hook is when a program of the operator's is run, on the host.
type Hook string

// Hooks.
const (
	PreStart  Hook = "prestart"
	PostStart Hook = "poststart"
	PreStop   Hook = "prestop"
	PostStop  Hook = "poststop"
)

// Hooks are all of them, in the order of a pot's life.
var Hooks = []Hook{PreStart, PostStart, PreStop, PostStop}

// File is where a pot has its program.
func (h Hook) File() string { return Dir + "/" + string(h) + ".sh" }
