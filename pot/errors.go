package pot

import (
	"errors"

	"nomad-driver-pot/pot/supervise"
)

// ErrUnsupported is what this host cannot do; the error that wraps it names it.
var ErrUnsupported = errors.New("not supported on this host")

// Errors of package supervise, for who knows pots alone.
var (
	ErrEnded       = supervise.ErrEnded
	ErrUnknownExit = supervise.ErrUnknownExit
)
