package pot

import (
	"errors"
	"fmt"

	"nomad-driver-pot/pot/supervise"
)

// ErrUnsupported is wrapped by the error of an operation that this host does not have,
// which names the operation.
var ErrUnsupported = errors.New("not supported on this host")

// Errors of package supervise.
var (
	ErrEnded       = supervise.ErrEnded
	ErrUnknownExit = supervise.ErrUnknownExit
)

// A FieldError is a problem with one field of a value. Spec.Validate and Configure
// return all of them, joined, so that a caller can name the key that a person typed
// for the field.
type FieldError struct {
	Field string // as in "mounts"
	Index int    // of an element of the field; -1 for the field itself
	Err   error
}

// Key is the field's name, with the index of an element, as in "mounts[0]".
func (e *FieldError) Key() string {
	if e.Index < 0 {
		return e.Field
	}
	return fmt.Sprintf("%s[%d]", e.Field, e.Index)
}

func (e *FieldError) Error() string { return e.Key() + ": " + e.Err.Error() }

func (e *FieldError) Unwrap() error { return e.Err }

// fieldErrors collects FieldErrors.
type fieldErrors []error

func (errs *fieldErrors) add(field, rule string, args ...any) { errs.addAt(field, -1, rule, args...) }

func (errs *fieldErrors) addAt(field string, index int, rule string, args ...any) {
	*errs = append(*errs, &FieldError{field, index, fmt.Errorf(rule, args...)})
}

func fieldErrorf(field, rule string, args ...any) error {
	return &FieldError{field, -1, fmt.Errorf(rule, args...)}
}
