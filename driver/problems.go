package driver

import (
	"fmt"
	"strings"
)

// problems are all that is wrong with a configuration, each led by its place.
// Nomad shows an error in one row of a table, so they are on one line.
type problems []error

func (f *problems) add(where, rule string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: "+rule, append([]any{where}, args...)...))
}

// join adds each of those that errors.Join has put into err.
func (f *problems) join(err error) {
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case err == nil:
	case ok:
		*f = append(*f, joined.Unwrap()...)
	default:
		*f = append(*f, err)
	}
}

// err is nil when there are none.
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
