package run

import (
	"errors"
	"strings"
)

// ErrorText is part of a line that a command writes to stderr in the C locale, and the
// error that it stands for.
type ErrorText struct {
	Text string
	Err  error
}

// Classify returns err as one that wraps the error of the first of texts that the failed
// command wrote too. Without any it returns err itself.
func Classify(err error, texts []ErrorText) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	for _, t := range texts {
		for line := range strings.SplitSeq(e.Stderr, "\n") {
			if strings.Contains(line, t.Text) {
				return &commandError{of: e, line: line, class: t.Err}
			}
		}
	}
	return err
}

// commandError is the failure of a command that has been classified. Its message ends with
// the line that was recognised, which need not be the last: zfs(8) adds advice below it.
type commandError struct {
	of    *Error
	line  string
	class error
}

func (c *commandError) Error() string {
	short := *c.of
	short.Stderr = c.line
	return short.Error()
}

func (c *commandError) Unwrap() []error { return []error{c.of, c.class} }
