package driver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nomad-driver-pot/pot"
)

// problems are all errors of a configuration, each led by the key that it is
// about. As an error they are on one line, since Nomad shows an error in one row
// of a table.
type problems []error

// add adds a problem with the key at where. It wraps an error that rule formats
// with %w.
func (f *problems) add(where, rule string, args ...any) {
	*f = append(*f, &pot.FieldError{Field: where, Index: -1, Err: fmt.Errorf(rule, args...)})
}

// addFields adds the joined FieldErrors of err under the job's keys. places has the
// keys for elements of a field, and keys the key for a field; without either the field's
// name is the key. A problem is dropped if its key, or an element of it, already has one.
func (f *problems) addFields(err error, keys map[string]string, places map[string][]string) {
	known := *f
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var field *pot.FieldError
		switch {
		case errors.As(err, &field):
			at := pot.FieldError{Field: cmp.Or(keys[field.Field], field.Field), Index: field.Index, Err: field.Err}
			if elements := places[field.Field]; at.Index >= 0 && at.Index < len(elements) {
				at.Field, at.Index = elements[at.Index], -1
			}
			if !known.have(at.Key()) {
				*f = append(*f, &at)
			}
		case err != nil:
			*f = append(*f, err)
		}
	}
}

// have reports whether there is a problem with a key or an element of it.
func (f problems) have(key string) bool {
	return slices.ContainsFunc(f, func(err error) bool {
		var at *pot.FieldError
		return errors.As(err, &at) && (at.Key() == key || strings.HasPrefix(at.Key(), key+"["))
	})
}

// err returns nil if there are no problems.
func (f problems) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

func (f problems) Error() string {
	var all []string
	for _, err := range f {
		all = append(all, err.Error())
	}
	return strings.Join(all, "; ")
}

func (f problems) Unwrap() []error { return f }
