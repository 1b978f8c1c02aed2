//go:build e2e

package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func init() {
	faults = append(faults,
		fault{name: "jail removed", host: "freebsd", do: removeJail},
		fault{name: "clone unmounted", host: "freebsd", do: unmountClone},
		fault{name: "pf anchors flushed", host: "freebsd", do: flushAnchors},
	)
}

// chaosState returns "": the pool of a cluster has a file system for each pot.
func chaosState(*testing.T) string { return "" }

func (x *chaos) said(argv ...string) string {
	x.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	must.NoError(x, err, must.Sprintf("%q: %s", argv, out))
	return string(out)
}

func removeJail(x *chaos) {
	pot := x.victim().pot
	for name := range strings.FieldsSeq(x.said("jls", "name")) {
		if name == pot || strings.HasSuffix(name, "."+pot) {
			x.said("jail", "-r", name)
		}
	}
}

// unmountClone unmounts the tree of a task by force. The task cannot work until a user
// restarts it.
func unmountClone(x *chaos) {
	alloc := x.alloc("service")
	pot, err := x.taskPot(alloc.ID, "task")
	must.NoError(x, err)
	lines := strings.Split(strings.TrimSpace(x.said("mount", "-p")), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if fields := strings.Fields(lines[i]); len(fields) > 1 && strings.Contains(fields[1], "/jails/"+pot+"/") {
			x.said("umount", "-f", fields[1])
		}
	}
	until(x.T, func() error { return x.Allocations().RestartAllTasks(alloc, nil) })
}

// flushAnchors removes the redirects of all pots, as a reload of pf.conf may.
func flushAnchors(x *chaos) {
	for anchor := range strings.FieldsSeq(x.said("pfctl", "-a", "pot-rdr", "-s", "Anchors")) {
		x.said("pfctl", "-a", anchor, "-F", "nat")
	}
	for job := range longJobs {
		until(x.T, func() error { return x.Allocations().RestartAllTasks(x.alloc(job), nil) })
	}
}
