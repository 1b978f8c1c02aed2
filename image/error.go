package image

import (
	"errors"
	"fmt"
)

// Error is the failure of an operation on an image.
type Error struct {
	Op        string // "fetch", "verify", "decode", "import"
	What      string // a URL, a file, a reference or a dataset; never with a secret
	Err       error
	Retryable bool // the same operation may succeed later
}

// Error returns the operation, its object and the cause.
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.What, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retryable reports whether an operation that failed with err may succeed later: after an
// error of the network, of a broken or busy server, or for want of disk space. A file that
// does not exist, or fails verification, is not retryable.
func Retryable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retryable
}
