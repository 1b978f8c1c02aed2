//go:build linux || freebsd

package main

import (
	"fmt"
	"strings"
	"time"
)

// report is a run: a row of e2e/SEEN.md, with the tests that failed below it.
type report struct {
	Date                  time.Time
	Commit, Release, Arch string
	Steps                 []result
}

// failed is how many tests failed.
func (r report) failed() (n int) {
	for _, s := range r.Steps {
		n += len(s.Failed)
	}
	return n
}

// String is the row, and a line for each test that failed, led by the row's date and
// commit: e2e's TestSeen reads both. Results are PASSED/FAILED/SKIPPED. A bar in a cell is
// escaped: it would end the cell.
func (r report) String() string {
	var steps, figures, failures []string
	passed, skipped := 0, 0
	key := r.Date.Format("2006-01-02 15:04") + " " + r.Commit
	for _, s := range r.Steps {
		passed += s.Passed
		skipped += len(s.Skipped)
		steps = append(steps, fmt.Sprintf("%s %d/%d/%d", s.Name, s.Passed, len(s.Failed), len(s.Skipped)))
		figures = append(figures, s.Figures...)
		for _, name := range s.Failed {
			failures = append(failures, fmt.Sprintf("- %s: %s: %s\n", key, s.Name, name))
		}
	}
	cells := []string{
		r.Date.Format("2006-01-02 15:04"), r.Commit, r.Release, r.Arch, strings.Join(steps, ", "),
		fmt.Sprintf("%d/%d/%d", passed, r.failed(), skipped), strings.Join(figures, ", "),
	}
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |\n" + strings.Join(failures, "")
}
