package conf

// A Hook is a time in the life of a pot at which the host runs a program of the operator's.
type Hook string

// The hooks.
const (
	PreStart  Hook = "prestart"
	PostStart Hook = "poststart"
	PreStop   Hook = "prestop"
	PostStop  Hook = "poststop"
)

// Hooks are all hooks, in the order of a pot's life.
var Hooks = []Hook{PreStart, PostStart, PreStop, PostStop}

// File returns the path of the hook's program in the pot's dataset.
func (h Hook) File() string { return Dir + "/" + string(h) + ".sh" }
