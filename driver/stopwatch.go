package driver

import (
	"fmt"
	"strings"
	"time"
)

// stopwatch tells how long the parts of a start took.
type stopwatch struct {
	begun, last time.Time
	laps        []string
}

func newStopwatch() *stopwatch {
	now := time.Now()
	return &stopwatch{begun: now, last: now}
}

// lap ends a part.
func (s *stopwatch) lap(part string) {
	now := time.Now()
	s.laps = append(s.laps, fmt.Sprintf("%s %s", part, short(now.Sub(s.last))))
	s.last = now
}

// String is as in "38 ms: image 2 ms, create 20 ms, command 16 ms".
func (s *stopwatch) String() string {
	return short(s.last.Sub(s.begun)) + ": " + strings.Join(s.laps, ", ")
}

// short is a time for people.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Round(time.Second).String()
}
