//go:build !linux

package hosttest

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// usedPriority matches a process's class in the output of ps(1), and after it the priority,
// which depends on the process's use of the processor.
var usedPriority = regexp.MustCompile(`\b(normal|idle):\d+`)

// ProcessState returns what a process has inherited, beside its descriptors and its
// environment, in the words of ps(1), procstat(1) and cpuset(1). Go programs change
// what is left out: their soft limit of open files, and the signals that they block.
func ProcessState(pid int) (string, error) {
	id := strconv.Itoa(pid)
	var b strings.Builder
	for _, argv := range [][]string{
		{"ps", "-ww", "-o", "nice=,rtprio=,class=,ignored=", "-p", id},
		{"procstat", "-h", "rlimit", id},
		{"procstat", "-h", "-s", id},
		{"cpuset", "-g", "-p", id},
	} {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
		}
		for line := range strings.Lines(usedPriority.ReplaceAllString(string(out), "$1")) {
			if !strings.Contains(line, "openfiles") {
				b.WriteString(strings.Join(strings.Fields(strings.Replace(line, id, "PID", 1)), " ") + "\n")
			}
		}
	}
	return b.String(), nil
}

func oddWeight(*testing.T) (undo func() error) { return func() error { return nil } }
