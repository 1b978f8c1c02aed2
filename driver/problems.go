package driver

import (
	"fmt"
	"strings"
)

// problems are all errors of a configuration, each led by the key that it is
// about. As an error they are on one line, since Nomad shows an error in one row
// of a table.
type problems []error

// add adds a problem with the key at where. It wraps an error that rule formats
// with %w.
func (f *problems) add(where, rule string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: "+rule, append([]any{where}, args...)...))
}

// join adds err, or each of its errors if errors.Join has made it.
func (f *problems) join(err error) {
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case err == nil:
	case ok:
		*f = append(*f, joined.Unwrap()...)
	default:
		*f = append(*f, err)
	}
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
