package driver

import (
	"fmt"
	"strings"
	"time"
)

// stopwatch measures how long the parts of a start take.
type stopwatch struct {
	begun, last time.Time
	laps        []string
}

func newStopwatch() *stopwatch {
	now := time.Now()
	return &stopwatch{begun: now, last: now}
}

// lap ends the part of that name, which began with the lap before.
func (s *stopwatch) lap(part string) {
	now := time.Now()
	s.laps = append(s.laps, fmt.Sprintf("%s %s", part, short(now.Sub(s.last))))
	s.last = now
}

// String returns a summary as in "38 ms: image 2 ms, create 20 ms, command 16 ms".
func (s *stopwatch) String() string {
	return short(s.last.Sub(s.begun)) + ": " + strings.Join(s.laps, ", ")
}

// short formats a time for people.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Round(time.Second).String()
}
