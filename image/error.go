package image

import (
	"errors"
	"fmt"
)

// Error is an image that could not be had.
type Error struct {
	Op        string // "fetch", "verify", "decode", "import"
	What      string // a URL, a file, a reference or a dataset; never with a secret
	Err       error
	Retryable bool // the very same may succeed later
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.What, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Retryable tells whether what failed with err may succeed when it is asked for
// again: the network, a server that is ill or busy, a disk that is full. What
// is not there, or not what was asked for, will not.
func Retryable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retryable
}
