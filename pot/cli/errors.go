package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"nomad-driver-pot/schema"
)

// failed is an error of a command that was run. All other errors are usage errors. cobra
// has one error path for both: only this type tells them apart, for the exit status.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

// runE returns a function for cobra's RunE, which calls do and marks its error as failed.
// Usage is checked before. It is for commands without checks of their own. A command with
// checks makes them first, outside of runE, so that its errors are usage errors.
func runE(do func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := do(c, args); err != nil {
			return failed{err}
		}
		return nil
	}
}

// errReported is a failure that has been printed already.
var errReported = errors.New("reported")

// exitStatus is an error with an exit status of its own. It wins over failed in report.
type exitStatus struct {
	error
	code int
}

func (s exitStatus) Unwrap() error { return s.error }

// hinted is an error with a hint on how to avoid it. The hint is not part of Error:
// errors.Join and wrapping would bury it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// status returns the exit status for err.
func status(err error) int {
	var s exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return s.code
	case errors.As(err, new(failed)):
		return 1
	}
	return 2
}

// printMessage writes m as a line of JSON.
func printMessage(w io.Writer, m schema.Message) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(m)
}

// report prints the error of a command on one line, and its hint on another, and returns the
// exit status. With -o json it prints both as one line of JSON.
func report(stderr io.Writer, c *cobra.Command, err error) int {
	var m schema.Message
	if err != nil && !errors.Is(err, errReported) {
		m.Error = text(c, err, os.Geteuid() == 0)
	}
	var h hinted
	if errors.As(err, &h) {
		m.Hint = h.hint
	}
	switch m.Status = status(err); {
	case m.Error+m.Hint == "":
	case isJSON(c):
		printMessage(stderr, m)
	default:
		for _, line := range []struct{ begin, text string }{{"", m.Error}, {"hint: ", m.Hint}} {
			if line.text != "" {
				fmt.Fprintf(stderr, "%s: %s%s\n", c.Root().Name(), line.begin, line.text)
			}
		}
	}
	return m.Status
}

// notes returns a function that prints a note or a warning to standard error.
func notes(c *cobra.Command) func(string) {
	return func(text string) {
		if isJSON(c) {
			printMessage(c.ErrOrStderr(), schema.Message{Note: oneLine(text)})
			return
		}
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", c.Root().Name(), oneLine(text))
	}
}

// text returns the error of a command as one line for a person: without the names of system
// calls, and without the texts of errors that only programs compare. root is whether this
// process is root's.
func text(c *cobra.Command, err error, root bool) string {
	if !root && denied(c, err) {
		what, _, _ := strings.Cut(err.Error(), ": ")
		return what + ": needs root: try sudo"
	}
	if ctx := c.Context(); ctx != nil && ctx.Err() != nil && strings.Contains(err.Error(), context.Cause(ctx).Error()) {
		what, _, _ := strings.Cut(err.Error(), ": ") // the rest says how far a reader was
		return what + ": interrupted"
	}
	s := err.Error()
	for _, e := range wrapped(err) {
		var at, cause string
		switch e := e.(type) {
		case *fs.PathError:
			at, cause = e.Path, e.Err.Error()
		case *os.LinkError:
			at, cause = e.New, e.Err.Error()
		case *os.SyscallError:
			cause = e.Err.Error()
		default:
			continue
		}
		if at != "" {
			cause = at + ": " + cause
		}
		s = strings.ReplaceAll(s, e.Error(), cause)
	}
	s = strings.ReplaceAll(s, ": "+fs.ErrNotExist.Error(), "")
	s = strings.ReplaceAll(s, ": "+fs.ErrExist.Error(), " already exists")
	return oneLine(s)
}

// denied reports whether a command about this host's pots failed for a permission that root
// has. It is false if a file that the person named cannot be read: that may be anybody's.
func denied(c *cobra.Command, err error) bool {
	if !errors.Is(err, fs.ErrPermission) || c.Flags().Lookup("dir") == nil {
		return false
	}
	typed := c.Flags().Args()
	c.Flags().Visit(func(f *pflag.Flag) {
		if !isCommon(f) {
			typed = append(typed, f.Value.String())
		}
	})
	return !slices.ContainsFunc(typed, func(name string) bool { // a pot's name also ends paths of the host's
		return strings.Contains(" "+err.Error(), " "+name+": "+syscall.EACCES.Error())
	})
}

// wrapped returns err and all errors that it wraps.
func wrapped(err error) []error {
	if err == nil {
		return nil
	}
	found := []error{err}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		found = append(found, wrapped(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			found = append(found, wrapped(one)...)
		}
	}
	return found
}

// oneLine returns joined errors as one line.
func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }
