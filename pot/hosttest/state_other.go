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

// usedPriority is what ps(1) says of a process's class, and behind it the priority that
// its use of the processor makes.
var usedPriority = regexp.MustCompile(`\b(normal|idle):\d+`)

// ProcessState returns the state that a process has inherited, in words (ps(1), procstat(1)
// and cpuset(1)), without its descriptors and its environment. It leaves out what Go
// programs change themselves: the soft limit of open files, and the signals that they
// block.
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

// oddWeight does nothing: FreeBSD's protect(1) is only in BecomeOdd.
func oddWeight(*testing.T) (undo func() error) { return func() error { return nil } }
