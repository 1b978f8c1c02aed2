//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/pot"
)

// recoveryTimeout bounds a recovery. An emulated FreeBSD is slow.
func recoveryTimeout() time.Duration {
	if runtime.GOOS == "freebsd" {
		return 10 * time.Minute
	}
	return time.Minute
}

// recover waits until all is as it should be, and returns how long it took. It fails the
// test if that is too late, or at once if something was claimed that is not true. The jobs
// are then replaced, so that one defect does not hide others.
func (x *chaos) recover(after string) time.Duration {
	x.Helper()
	took, err := x.waitWhole()
	if err != nil {
		x.Errorf("after %s: %v", after, err)
		x.replaceJobs()
		if _, err := x.waitWhole(); err != nil {
			x.Fatalf("after %s, with new jobs: %v", after, err)
		}
	}
	return took
}

func (x *chaos) waitWhole() (took time.Duration, err error) {
	begun := time.Now()
	for time.Since(begun) < recoveryTimeout() {
		if err = x.whole(); err == nil {
			return time.Since(begun), nil
		}
		if lie := new(inventedCode); errors.As(err, lie) {
			return time.Since(begun), err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(begun), err
}

// whole returns nil if what should run runs, and Nomad and the host agree.
func (x *chaos) whole() error {
	if _, err := x.Plugin(); err != nil {
		return err
	}
	pots := map[string]bool{} // that the host must have, and no other
	for job, tasks := range longJobs {
		alloc, err := x.onlyAlloc(job)
		if err != nil {
			return err
		}
		if err := x.events(alloc, nil); err != nil {
			return err
		}
		for _, task := range tasks {
			if state := alloc.TaskStates[task]; state == nil || state.State != "running" {
				return fmt.Errorf("task %s of job %s does not run: %s", task, job, cluster.Story(alloc))
			}
			itsPot, err := x.taskPot(alloc.ID, task)
			if err != nil {
				return err
			}
			pots[itsPot] = true
			code, said, err := x.exec(alloc, task, "/bin/hello", "exit", "3")
			if err != nil || code != 3 {
				return fmt.Errorf("exec in task %s of job %s: status %d, %v: %s", task, job, code, err, said)
			}
		}
		if err := answers(alloc); err != nil {
			return fmt.Errorf("job %s does not answer: %w", job, err)
		}
	}
	if err := x.batchesEnded(); err != nil {
		return err
	}
	return x.hostHas(pots)
}

// exec is Exec that ends soon: the plugin may be paused.
func (x *chaos) exec(alloc *api.Allocation, task string, argv ...string) (int, string, error) {
	ctx, cancel := context.WithTimeout(x.Context(), recoveryTimeout()/3)
	defer cancel()
	return x.Exec(ctx, alloc, task, argv...)
}

// onlyAlloc returns the allocation of a job that runs, if one does and no other.
func (x *chaos) onlyAlloc(job string) (*api.Allocation, error) {
	stubs, _, err := x.Jobs().Allocations(job, true, nil)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, s := range stubs {
		if s.ClientStatus == api.AllocClientStatusRunning {
			found = append(found, s.ID)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d allocations of job %s run", len(found), job)
	}
	alloc, _, err := x.Allocations().Info(found[0], nil)
	return alloc, err
}

// taskPot returns the name of the pot of a task.
func (x *chaos) taskPot(alloc, task string) (string, error) {
	found, err := filepath.Glob(filepath.Join(x.state, "pots", task+"_*_"+alloc))
	if err == nil && len(found) != 1 {
		found, err = filepath.Glob(filepath.Join(x.state, "pots", task+"_"+alloc))
	}
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("task %s of allocation %s has pots %q, %v", task, alloc, found, err)
	}
	return filepath.Base(found[0]), nil
}

// inventedCode is an exit code that the command cannot have had.
type inventedCode struct{ error }

// events returns an inventedCode if an event of an allocation has one. A command that may
// exit has code; the others end by a signal or not at all.
func (x *chaos) events(alloc *api.Allocation, code *int) error {
	for task, state := range alloc.TaskStates {
		for _, e := range state.Events {
			switch unknown := strings.Contains(e.DisplayMessage, "exit status of the command is unknown"); {
			case e.Type != api.TaskTerminated, unknown && e.ExitCode != 0, e.Signal != 0:
			case code != nil && e.ExitCode == *code:
			default:
				return inventedCode{fmt.Errorf("task %s ended with exit code %d: %s", task, e.ExitCode, cluster.Story(alloc))}
			}
		}
	}
	return nil
}

// batchesEnded returns nil if the batch jobs have ended, and purges them.
func (x *chaos) batchesEnded() error {
	for len(x.batches) > 0 {
		job := x.batches[0]
		stubs, _, err := x.Jobs().Allocations(job, true, nil)
		if err != nil {
			return err
		}
		if len(stubs) == 0 {
			return fmt.Errorf("job %s was not placed", job)
		}
		for _, s := range stubs {
			alloc, _, err := x.Allocations().Info(s.ID, nil)
			if err != nil {
				return err
			}
			code := batchCode
			if err := x.events(alloc, &code); err != nil {
				return err
			}
			if !alloc.ClientTerminalStatus() {
				return fmt.Errorf("job %s is %s: %s", job, alloc.ClientStatus, cluster.Story(alloc))
			}
		}
		if _, _, err := x.Jobs().Deregister(job, true, nil); err != nil {
			return err
		}
		x.batches = x.batches[1:]
	}
	return nil
}

// hostHas returns nil if the host has these pots, the network of the group, and their
// processes and addresses, and no others.
func (x *chaos) hostHas(pots map[string]bool) error {
	entries, err := os.ReadDir(filepath.Join(x.state, "pots"))
	if err != nil {
		return err
	}
	groups := 0
	for _, e := range entries {
		switch {
		case pots[e.Name()]:
		case strings.HasPrefix(e.Name(), "group_"):
			groups++
		default:
			return fmt.Errorf("pot %s is left over", e.Name())
		}
	}
	if groups != 1 {
		return fmt.Errorf("the host has networks of %d groups", groups)
	}
	all, err := machine.Processes()
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, p := range all {
		if len(p.Argv) == 2 && filepath.Base(p.Argv[0]) == "pot-supervisor" {
			count[p.Argv[1]]++
		}
	}
	want := len(pots) + groups
	if count["run"] != want {
		return fmt.Errorf("%d supervisors run for %d pots", count["run"], want)
	}
	if first := count["jail"]; runtime.GOOS == "linux" && first != want {
		return fmt.Errorf("%d jails are there for %d pots", first, want)
	}
	return x.addressesAgree()
}

// addressesAgree returns nil if existing pots have all addresses that are taken. Tasks of a
// group share one.
func (x *chaos) addressesAgree() error {
	entries, err := os.ReadDir(filepath.Join(x.state, "addresses"))
	if err != nil {
		return err
	}
	var owners []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "10.") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(x.state, "addresses", e.Name()))
		if err != nil {
			return err
		}
		owner := string(data)
		if pot.Name(owner).Validate() != nil {
			continue // damaged: the driver replaces it when it allocates the address
		}
		if _, err := os.Stat(filepath.Join(x.state, "pots", owner)); err != nil {
			return fmt.Errorf("address %s belongs to %q, which is no pot", e.Name(), owner)
		}
		if slices.Contains(owners, owner) {
			return fmt.Errorf("pot %s has two addresses", owner)
		}
		owners = append(owners, owner)
	}
	return nil
}
