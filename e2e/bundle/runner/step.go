//go:build linux || freebsd

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// result is what came of a step. Figures come from benchmarks, as "NAME VALUE UNIT".
type result struct {
	Name    string
	Passed  int
	Failed  []string  // names of tests, or of programs with their exit status
	Skipped []skipped // tests, with the reason
	Figures []string
}

// runStep runs all of a step, and prints what came of it.
func (b *bundle) runStep(s step, out io.Writer) result {
	r := result{Name: s.name}
	for _, c := range s.runs {
		b.runCommand(c, &r)
	}
	word := "ok  "
	if len(r.Failed) > 0 {
		word = "FAIL"
	}
	fmt.Fprintf(out, "%s  %-7s %d passed, %d failed, %d skipped\n", word, s.name, r.Passed, len(r.Failed), len(r.Skipped))
	for _, name := range r.Failed {
		fmt.Fprintf(out, "      failed: %s\n", name)
	}
	for _, skip := range r.Skipped {
		fmt.Fprintf(out, "      skipped: %s: %s\n", skip.Test, skip.Reason)
	}
	return r
}

// runCommand runs a command, keeps its output in results, and adds what came of it to r. A
// test binary that fails without a failed test counts as one: something ended it.
func (b *bundle) runCommand(c command, r *result) {
	var l testLog
	err := b.logged(c, &l)
	if c.kind == program {
		if err != nil {
			r.Failed = append(r.Failed, fmt.Sprintf("%s: %v, see results/%[1]s.log", c.name, err))
		} else {
			r.Passed++
		}
		return
	}
	tests := l.tests()
	r.Passed += tests.passed
	r.Skipped = append(r.Skipped, tests.skipped...)
	for _, name := range tests.failed {
		r.Failed = append(r.Failed, fmt.Sprintf("%s: see results/%s.log", name, c.name))
	}
	if err != nil && len(tests.failed) == 0 { // as when something is left behind at the end
		r.Failed = append(r.Failed, fmt.Sprintf("%s: %v, see results/%[1]s.log", c.name, err))
	}
	r.Figures = append(r.Figures, tests.figures...)
}

// logged runs a command, whose output goes to results and, line by line, to l. Both outputs
// are in one file, in their order. POT_BIN is where tests find programs in place of
// building them (hosttest.BuildIn): the host has no Go.
func (b *bundle) logged(c command, l *testLog) error {
	log, err := os.Create(filepath.Join(b.results, c.name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, w, w
	cmd.Env = append(os.Environ(), "POT_BIN="+filepath.Join(b.dir, "bin"))
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	read := make(chan error, 1)
	go func() { read <- copyLines(log, r, l) }()
	ended := cmd.Wait()
	// What a test has left running may hold the pipe: the command's end is the end.
	r.SetReadDeadline(soon())
	return errors.Join(ended, <-read)
}

// copyLines writes lines to log, without the marks of test2json, and adds them to l. It
// returns nil at the deadline that logged sets.
func copyLines(log io.Writer, r io.Reader, l *testLog) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		l.add(strings.TrimSuffix(line, "\n"))
		if _, err := io.WriteString(log, strings.ReplaceAll(line, mark, "")); err != nil {
			return err
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}
