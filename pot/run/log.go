package run

import (
	"context"
	"io"
	"strings"
	"sync"
)

// Answer is what a command of a Log prints, or fails with.
type Answer struct {
	Stdout string
	Err    error
}

// Log is a Runner that runs nothing: it writes down what it is asked to run,
// and answers as it is told to. The zero value answers with nothing.
type Log struct {
	Answers map[string]Answer // by command line

	mu    sync.Mutex
	lines strings.Builder
}

// Run is Runner's.
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

// String is what was run, a line each; what was fed to it is indented below.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}
