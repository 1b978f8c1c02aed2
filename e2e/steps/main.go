// Command steps runs targets of make one after another, and prints how many seconds each
// took. It stops at the first that fails. Their output is not changed.
//
//	steps MAKE TARGET...
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: steps MAKE TARGET...")
		os.Exit(2)
	}
	run := func(target string) error {
		cmd := exec.Command(os.Args[1], target)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		return cmd.Run()
	}
	if err := runSteps(os.Args[2:], run, time.Now, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "steps:", err)
		os.Exit(1)
	}
}

// step is a target and how long it took.
type step struct {
	target string
	took   time.Duration
	err    error
}

// runSteps runs targets until one fails, and writes a table of those that it has run.
func runSteps(targets []string, run func(target string) error, now func() time.Time, out io.Writer) error {
	var done []step
	for _, target := range targets {
		fmt.Fprintf(out, "==> make %s\n", target)
		begun := now()
		err := run(target)
		done = append(done, step{target, now().Sub(begun), err})
		if err != nil {
			writeTable(out, done)
			return fmt.Errorf("make %s: %w", target, err)
		}
	}
	writeTable(out, done)
	return nil
}

func writeTable(out io.Writer, done []step) {
	const row = "%-12s %8.0f%s\n"
	total := time.Duration(0)
	fmt.Fprintf(out, "\n%-12s %8s\n", "step", "seconds")
	for _, s := range done {
		failed := ""
		if s.err != nil {
			failed = " failed"
		}
		fmt.Fprintf(out, row, s.target, s.took.Seconds(), failed)
		total += s.took
	}
	fmt.Fprintf(out, row, "total", total.Seconds(), "")
}
