package pot

import "errors"

// ErrUnsupported is what this host cannot do; the error that wraps it names it.
var ErrUnsupported = errors.New("not supported on this host")
