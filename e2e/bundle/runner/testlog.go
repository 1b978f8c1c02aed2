//go:build linux || freebsd

package main

import (
	"regexp"
	"strings"
)

// mark begins the lines of package testing itself in output of -test.v=test2json
// (testing.go, marker): what a test prints is not taken for its result.
const mark = "\x16"

// testLog follows the output of a test binary. It reads what a person reads, since a host
// without Go has no go tool test2json.
type testLog struct {
	results map[string]string // PASS, FAIL, SKIP or "", by test
	order   []string
	current string            // whose output comes
	last    map[string]string // line of output, by test
	figures []string
}

// skipped is a test with the reason why it was skipped.
type skipped struct{ Test, Reason string }

// counted are the results of a test binary.
type counted struct {
	passed  int
	failed  []string
	skipped []skipped
	figures []string
}

var (
	began  = regexp.MustCompile(`^=== (RUN|NAME|CONT|PAUSE) +(\S*)`)
	ended  = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP|BENCH): (\S+)`)
	place  = regexp.MustCompile(`^[\w.]+\.go:\d+:\s*`)
	timing = regexp.MustCompile(`^(Benchmark\S*?)(-\d+)?\s+\d+\s+([\d.]+ ns/op.*)$`)
	story  = regexp.MustCompile(`^> .*\bskip '(.*)'$`) // testscript's own words
	figure = regexp.MustCompile(`([\d.e+-]+) (\S+)`)
)

// add takes a line of output.
func (l *testLog) add(line string) {
	// Benchmarks print their name, and their figures when they have them, unmarked.
	if m := timing.FindStringSubmatch(strings.TrimPrefix(line, mark)); m != nil {
		l.result(m[1], "PASS")
		l.figures = append(l.figures, figuresOf(m[1], m[3])...)
		return
	}
	marked, found := line, false
	if _, marked, found = strings.Cut(line, mark); !found {
		if text := strings.TrimSpace(line); text != "" {
			if l.last == nil {
				l.last = map[string]string{}
			}
			l.last[l.current] = text
		}
		return
	}
	switch m := began.FindStringSubmatch(marked); {
	case m != nil && m[1] != "PAUSE":
		l.current = m[2]
		if m[1] == "RUN" {
			l.result(m[2], "")
		}
		return
	case m != nil:
		return
	}
	if m := ended.FindStringSubmatch(marked); m != nil && m[1] != "BENCH" {
		l.current = ""
		l.result(m[2], m[1])
	}
}

// result records the result of a test. A failure stays one, whatever comes after it.
func (l *testLog) result(test, result string) {
	if l.results == nil {
		l.results = map[string]string{}
	}
	if _, known := l.results[test]; !known {
		l.order = append(l.order, test)
	}
	if l.results[test] != "FAIL" {
		l.results[test] = result
	}
}

// tests counts. A test with subtests counts as its subtests, unless it failed and none of
// them did. A test without a result did not end.
func (l *testLog) tests() (c counted) {
	parents, failing := map[string]bool{}, map[string]bool{}
	for _, test := range l.order {
		for i, r := range test {
			if r != '/' {
				continue
			}
			parents[test[:i]] = true
			if result := l.results[test]; result == "FAIL" || result == "" {
				failing[test[:i]] = true
			}
		}
	}
	for _, test := range l.order {
		switch result := l.results[test]; {
		case result == "FAIL" && !failing[test]:
			c.failed = append(c.failed, test)
		case result == "" && strings.HasPrefix(test, "Benchmark") && parents[test]:
		case result == "" && !failing[test]:
			c.failed = append(c.failed, test+" (did not end)")
		case parents[test]:
		case result == "PASS":
			c.passed++
		case result == "SKIP":
			c.skipped = append(c.skipped, skipped{test, l.reason(test)})
		}
	}
	c.figures = l.figures
	return c
}

// reason is what a test said last, without the place in its source. t.Skip prints it before
// the line that says SKIP.
func (l *testLog) reason(test string) string {
	reason := l.last[test]
	if at := place.FindString(reason); at != "" {
		reason = reason[len(at):]
	}
	if m := story.FindStringSubmatch(reason); m != nil {
		reason = m[1]
	}
	if reason == "" {
		return "no reason given"
	}
	return reason
}

// figuresOf are the figures of a benchmark that it reports itself, as "Import 0.97 xwall".
func figuresOf(name, text string) (all []string) {
	for _, m := range figure.FindAllStringSubmatch(text, -1) {
		switch m[2] {
		case "ns/op", "B/op", "allocs/op", "MB/s":
		default:
			all = append(all, strings.TrimPrefix(name, "Benchmark")+" "+m[1]+" "+m[2])
		}
	}
	return all
}
