//go:build linux || freebsd

// Demo shows the whole of it: a real Nomad agent takes a job, the driver fetches
// a pot image that a FreeBSD made, runs it on this machine, and leaves nothing
// when it is done. KEEP=1 leaves it running instead, to look at.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/api"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/image/imagetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// within bounds the whole demo: a machine that is too slow for it says so.
const within = 5 * time.Minute

// It compares the machine before and after, so that what it leaves is seen and not only
// what it reports. An error leaves the directory, with the agents' logs.
func demo(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("needs root: namespaces, mounts and bridges; try sudo make demo")
	}
	if len(os.Args) != 3 {
		return errors.New("usage: demo NOMAD BIN: the agent's program, and the directory of the plugin's")
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	dir, err := os.MkdirTemp("", "pot-demo-")
	if err != nil {
		return err
	}
	s := &show{began: time.Now(), dir: dir}
	if s.before, err = machine.Look(dir); err != nil {
		return err
	}
	bin, err := filepath.Abs(os.Args[2])
	if err != nil {
		return err
	}
	if err := s.step("start an image server and a Nomad agent with the plugin", func() error {
		s.Cluster, err = cluster.Start(ctx, cluster.Config{Dir: dir, Nomad: os.Args[1], Plugins: bin, Examples: true})
		return err
	}); err != nil {
		return errors.Join(err, s.cleanUp())
	}
	err = s.run(ctx)
	if err == nil && os.Getenv("KEEP") == "1" {
		return s.keep(ctx)
	}
	return errors.Join(err, s.cleanUp())
}

// show is a demo under way. before is the machine's state before anything was started;
// hello is the service's allocation.
type show struct {
	*cluster.Cluster
	began  time.Time
	dir    string
	before machine.State
	hello  *api.Allocation
}

// step does one thing, and says what and how long it took. An error is led by the step, and
// ends the demo.
func (s *show) step(what string, do func() error) error {
	fmt.Printf("\n==> %s\n", what)
	begun := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Printf("    (%.2f s)\n", time.Since(begun).Seconds())
	return nil
}

// say prints text, indented below the name of its step.
func say(text string) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		fmt.Printf("    %s\n", strings.TrimRight(line, "\n"))
	}
}

// run is the main job, step by step. The order is a user's: each step shows what the one
// before made possible.
func (s *show) run(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"what the node says of the driver", s.node},
		{"run example-jobs/hello.nomad.hcl, a service with a published port", s.service},
		{"ask the published port", s.ask},
		{"read the task's log", s.log},
		{"run a command in the pot", s.exec},
		{"take a sample of what it uses", s.stats},
		{"run example-jobs/batch.nomad.hcl, which ends by itself", s.batch},
	} {
		if err := s.step(step.what, func() error { return step.do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// node shows the driver's health and the attributes that jobs can be constrained by.
func (s *show) node(ctx context.Context) error {
	nodes, _, err := s.Nodes().List(nil)
	if err != nil {
		return err
	}
	node, _, err := s.Nodes().Info(nodes[0].ID, nil)
	if err != nil {
		return err
	}
	info := node.Drivers["pot"]
	say(fmt.Sprintf("healthy: %t: %s", info.Healthy, info.HealthDescription))
	for _, k := range []string{"driver.pot.version", "driver.pot.host", "driver.pot.limits"} {
		say(fmt.Sprintf("%s = %s", k, node.Attributes[k]))
	}
	return nil
}

// service runs a job that serves HTTP, and waits until its task runs. A failed allocation
// is shown with its events, as a person would look for them.
func (s *show) service(ctx context.Context) error {
	id, err := s.Run("example-jobs/hello.nomad.hcl")
	if err != nil {
		return err
	}
	alloc, err := s.Alloc(ctx, id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
	if err != nil {
		return err
	}
	if alloc.ClientStatus != api.AllocClientStatusRunning {
		return fmt.Errorf("it failed:%s", cluster.Story(alloc))
	}
	s.hello = alloc
	say(fmt.Sprintf("allocation %s on node %s is %s", alloc.ID[:8], alloc.NodeName, alloc.ClientStatus))
	say(cluster.Story(alloc))
	return nil
}

// ask asks the port that Nomad gave the task.
func (s *show) ask(ctx context.Context) error {
	ports := s.hello.AllocatedResources.Shared.Ports
	if len(ports) == 0 {
		return errors.New("the allocation has no port")
	}
	url := "http://" + net.JoinHostPort(ports[0].HostIP, fmt.Sprint(ports[0].Value)) + "/"
	for {
		body, err := get(ctx, url)
		if err == nil {
			say(fmt.Sprintf("%s answers: %s", url, body))
			return nil
		}
		select { // the program may not listen yet
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// get returns the body of a page, at most 64 KiB of it.
func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return string(body), err
}

// log waits for the program's first line: it travels from the pot by a fifo to Nomad's log
// collector, and from there to the API.
func (s *show) log(ctx context.Context) error {
	out, err := s.Says(ctx, s.hello, "hello", "serving on")
	say(out)
	return err
}

// exec runs a command through the API, as nomad alloc exec does.
func (s *show) exec(ctx context.Context) error {
	code, out, err := s.Exec(ctx, s.hello, "hello", "/bin/hello", "id")
	if err != nil {
		return err
	}
	say(fmt.Sprintf("/bin/hello id: exit code %d\n%s", code, out))
	return nil
}

// stats waits for a sample: the client takes one each second, and has none at first.
func (s *show) stats(ctx context.Context) error {
	for {
		usage, err := s.Allocations().Stats(s.hello, nil)
		if err == nil && usage.Tasks["hello"] != nil && usage.Tasks["hello"].ResourceUsage != nil {
			u := usage.Tasks["hello"].ResourceUsage
			say(fmt.Sprintf("memory %.1f MiB, CPU %.1f %% of a core", float64(u.MemoryStats.RSS)/(1<<20), u.CpuStats.Percent))
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New("no sample came"), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// batch runs a job to its end, and shows the exit code from the event of its task, where
// Nomad keeps it.
func (s *show) batch(ctx context.Context) error {
	id, err := s.Run("example-jobs/batch.nomad.hcl")
	if err != nil {
		return err
	}
	alloc, err := s.Alloc(ctx, id, api.AllocClientStatusComplete, api.AllocClientStatusFailed)
	if err != nil {
		return err
	}
	say(cluster.Story(alloc))
	for _, state := range alloc.TaskStates {
		for _, e := range state.Events {
			if e.Type == api.TaskTerminated {
				say(fmt.Sprintf("its exit code is %d", e.ExitCode))
				return nil
			}
		}
	}
	return errors.New("it ended and no exit code was told")
}

// keep leaves all of it running until it is interrupted. ctx ends with the demo's
// timeout, so it does not wait for that.
func (s *show) keep(ctx context.Context) error {
	fmt.Printf("\nIt is left running. UI: %s/ui/  agent's log: %s\n", s.HTTP, s.Log())
	fmt.Printf("For the command line: export NOMAD_ADDR=%s\n", s.HTTP)
	if err := s.commands(); err != nil {
		return errors.Join(err, s.cleanUp())
	}
	fmt.Println("\nCtrl-C ends it.")
	wait, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-wait.Done()
	return s.cleanUp()
}

// commands prints the command that runs each of the example jobs.
func (s *show) commands() error {
	files, err := filepath.Glob("example-jobs/*.nomad.hcl")
	if err != nil {
		return err
	}
	fmt.Println("\nTo run the example jobs:")
	for _, file := range files {
		command, err := s.Command(file)
		if err != nil {
			return err
		}
		fmt.Printf("  %s\n", command)
	}
	return nil
}

// cleanUp stops the jobs and the agent, and shows what is left: nothing. It runs after an
// error too, and after an interrupt: its context is new. The image stays in the driver's
// state on purpose, and everything else must be gone.
func (s *show) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := s.step("stop the jobs, then the agent", func() error {
		var errs []error
		if s.Cluster != nil && s.Client != nil {
			jobs, _, _ := s.Jobs().List(nil)
			for _, j := range jobs {
				errs = append(errs, s.Purge(ctx, j.ID))
			}
			errs = append(errs, s.Collect(ctx))
		}
		if s.Cluster != nil {
			errs = append(errs, s.Stop())
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return err
	}
	err = s.step("look for what is left of mounts, interfaces, namespaces, control groups, processes and files", func() error {
		now, err := machine.Look(s.StateDir(), imagetest.HelloName+"_1_0")
		if err != nil {
			return err
		}
		if left := now.Since(s.before); len(left) > 0 {
			return fmt.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
		}
		say("nothing, but for the image and its cache")
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w\nsee %s", err, s.dir)
	}
	fmt.Printf("\nDone in %.1f s.\n", time.Since(s.began).Seconds())
	return os.RemoveAll(s.dir)
}
