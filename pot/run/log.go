package run

import (
	"context"
	"io"
	"strings"
	"sync"
)

// Answer is what a command of a Log prints or fails with.
type Answer struct {
	Stdout string
	Err    error
}

// Log is a Runner for tests that runs nothing: it records command lines and returns
// prepared answers. The zero value answers every command with an empty output.
type Log struct {
	Answers map[string]Answer // by command line

	mu    sync.Mutex
	lines strings.Builder
}

// Run implements Runner. It records the lines of stdin as well.
func (l *Log) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	line := strings.Join(argv, " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.WriteString(line + "\n")
	if stdin != nil {
		text, err := io.ReadAll(stdin)
		if err != nil {
			return "", err
		}
		for fed := range strings.Lines(string(text)) {
			l.lines.WriteString("\t" + strings.TrimSuffix(fed, "\n") + "\n")
		}
	}
	a := l.Answers[line]
	return a.Stdout, a.Err
}

// String returns the command lines that were run, one a line, with their standard input
// indented below.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}
