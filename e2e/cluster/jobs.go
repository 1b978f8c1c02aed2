package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// Run registers the job in file, with a value for each of its variables that Values knows
// and the values in more, as "name=value". It returns the job's ID.
func (c *Cluster) Run(file string, more ...string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	values, err := c.Values(file, data)
	if err != nil {
		return "", err
	}
	var variables strings.Builder
	for _, v := range append(values, more...) {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&variables, "%s = %q\n", name, value)
	}
	return c.RunHCL(string(data), variables.String())
}

// RunHCL registers the job in text, with variables in HCL, and returns its ID. The server
// parses it: no parser of job files is needed here.
func (c *Cluster) RunHCL(text, variables string) (string, error) {
	job, err := c.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: text, Variables: variables, Canonicalize: true})
	if err != nil {
		return "", fmt.Errorf("parse job: %w", err)
	}
	if _, _, err := c.Jobs().Register(job, nil); err != nil {
		return "", fmt.Errorf("register job: %w", err)
	}
	return *job.ID, nil
}

// Alloc waits until the newest allocation of job is in one of the client statuses wanted,
// and returns it. A caller that wants "running" also names "failed", so that it does not
// wait in vain. An error of the API counts as no answer yet: agents are killed meanwhile.
func (c *Cluster) Alloc(ctx context.Context, job string, wanted ...string) (*api.Allocation, error) {
	var alloc *api.Allocation
	seen := "none was placed"
	err := c.until(ctx, func() (bool, error) {
		stubs, _, err := c.Jobs().Allocations(job, true, nil)
		if err != nil || len(stubs) == 0 {
			return false, nil
		}
		newest := stubs[0]
		for _, s := range stubs {
			if s.CreateIndex > newest.CreateIndex {
				newest = s
			}
		}
		if alloc, _, err = c.Allocations().Info(newest.ID, nil); err != nil {
			return false, nil
		}
		seen = "it is " + alloc.ClientStatus + Story(alloc)
		for _, w := range wanted {
			if alloc.ClientStatus == w {
				return true, nil
			}
		}
		return false, nil
	}, func() string {
		return fmt.Sprintf("job %s: no allocation is %s: %s", job, strings.Join(wanted, " or "), seen)
	})
	return alloc, err
}

// Story is what the events of an allocation's tasks say, a line each. It is for messages of
// tests: the order of tasks is random.
func Story(alloc *api.Allocation) string {
	var b strings.Builder
	for task, state := range alloc.TaskStates {
		for _, e := range state.Events {
			fmt.Fprintf(&b, "\n  %s: %-16s %s", task, e.Type, e.DisplayMessage)
		}
	}
	return b.String()
}

// Output is what a task has written to stdout so far. It is what nomad alloc logs shows,
// and so has passed the log collector.
func (c *Cluster) Output(alloc *api.Allocation, task string) (string, error) {
	cancel := make(chan struct{})
	defer close(cancel)
	frames, errs := c.AllocFS().Logs(alloc, false, task, api.FSLogNameStdout, api.OriginStart, 0, cancel, nil)
	var b bytes.Buffer
	for {
		select {
		case f, ok := <-frames:
			if !ok {
				return b.String(), nil
			}
			b.Write(f.Data)
		case err := <-errs:
			return b.String(), err
		}
	}
}

// Says waits until a task has written text to stdout.
func (c *Cluster) Says(ctx context.Context, alloc *api.Allocation, task, text string) (string, error) {
	var out string
	err := c.until(ctx, func() (bool, error) {
		out, _ = c.Output(alloc, task)
		return strings.Contains(out, text), nil
	}, func() string { return fmt.Sprintf("task %s did not say %q but: %s", task, text, out) })
	return out, err
}

// Exec runs a command in a task and returns its exit code and what it printed. Both outputs
// are in one text, and the command's input is empty.
func (c *Cluster) Exec(ctx context.Context, alloc *api.Allocation, task string, argv ...string) (int, string, error) {
	var out bytes.Buffer
	code, err := c.Allocations().Exec(ctx, alloc, task, false, argv, strings.NewReader(""), &out, &out, nil, nil)
	return code, out.String(), err
}

// Purge stops a job and waits until none of its allocations runs. The job itself stays in
// the server's state until Collect.
func (c *Cluster) Purge(ctx context.Context, job string) error {
	stubs, _, err := c.Jobs().Allocations(job, true, nil)
	if err != nil {
		return err
	}
	if _, _, err := c.Jobs().Deregister(job, false, nil); err != nil {
		return err
	}
	for _, s := range stubs {
		err := c.until(ctx, func() (bool, error) {
			a, _, err := c.Allocations().Info(s.ID, nil)
			return err == nil && a.ClientTerminalStatus(), nil
		}, func() string { return "allocation " + s.ID + " did not stop" })
		if err != nil {
			return err
		}
	}
	return nil
}

// Collect has the cluster forget what has stopped, and waits until the client has removed
// the directories of its allocations, and Nomad's mounts in them. One collection may come
// too early: the server first has to learn that the allocations have ended.
func (c *Cluster) Collect(ctx context.Context) error {
	return c.until(ctx, func() (bool, error) {
		if err := c.System().GarbageCollect(); err != nil {
			return false, err
		}
		left, err := os.ReadDir(c.path("client/alloc"))
		return len(left) == 0, err
	}, func() string { return "directories of allocations are left" })
}
