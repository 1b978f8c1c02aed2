package hosttest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// ProcessState returns what a process has inherited, beside its descriptors and its
// environment, in words (proc(5)). Go programs change what is left out: their soft limit
// of open files, and the signals that they block and catch.
func ProcessState(pid int) (string, error) {
	var b strings.Builder
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		for _, name := range []string{"Umask", "SigIgn", "Cap", "NoNewPrivs", "Seccomp:", "Cpus_allowed:", "Mems_allowed:", "THP_enabled"} {
			if strings.HasPrefix(line, name) {
				b.WriteString(line)
			}
		}
	}
	for _, file := range []string{"limits", "oom_score_adj", "personality", "cgroup"} {
		data, e := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		err = errors.Join(err, e)
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, "Max open files") {
				b.WriteString(file + " " + line)
			}
		}
	}
	stat, e := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err = errors.Join(err, e); err != nil {
		return "", err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const state, nice, policy = 3, 19, 41 // by their numbers in proc(5); the first here is the state
	fmt.Fprintf(&b, "nice %s policy %s\n", fields[nice-state], fields[policy-state])
	return b.String(), nil
}

// oddWeight makes the kernel kill this process before others when memory runs out, until undo
// is called.
func oddWeight(t *testing.T) (undo func() error) {
	const file = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(file)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(file, []byte("500"), 0))
	return func() error { return os.WriteFile(file, before, 0) }
}
