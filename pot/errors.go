package pot

import (
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped by errors about a feature that this host does not have. The
// wrapping error names the feature.
var ErrUnsupported = errors.New("not supported on this host")

// A FieldError is a problem with one field of a value. Spec.Validate and potconf.Configure
// return all of them, joined, so that a caller can name the key that a person typed
// for the field.
type FieldError struct {
	Field string // "mounts"
	Index int    // of the element of the field that is wrong; -1 for the field itself
	Err   error
}

// Key returns the field's name, with the index of the element: "mounts[0]".
func (e *FieldError) Key() string {
	if e.Index < 0 {
		return e.Field
	}
	return fmt.Sprintf("%s[%d]", e.Field, e.Index)
}

func (e *FieldError) Error() string { return e.Key() + ": " + e.Err.Error() }

func (e *FieldError) Unwrap() error { return e.Err }

// FieldErrors collects FieldErrors.
type FieldErrors []error

func (errs *FieldErrors) Add(field, rule string, args ...any) { errs.AddAt(field, -1, rule, args...) }

func (errs *FieldErrors) AddAt(field string, index int, rule string, args ...any) {
	*errs = append(*errs, &FieldError{field, index, fmt.Errorf(rule, args...)})
}

func fieldErrorf(field, rule string, args ...any) error {
	return &FieldError{field, -1, fmt.Errorf(rule, args...)}
}

// Reword returns an error that reads as text and is err to errors.Is: for a cause such as
// fs.ErrNotExist, whose own text tells a user nothing.
func Reword(err error, text string, args ...any) error {
	return reworded{fmt.Sprintf(text, args...), err}
}

type reworded struct {
	text string
	err  error
}

func (e reworded) Error() string { return e.text }

func (e reworded) Unwrap() error { return e.err }
