package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// exitFailed is the status of pot start if the pot's command failed (share/pot/start.sh).
// If the pot could not be started it is 1.
const exitFailed = 125

// startCommand starts a pot (pot start -p -s). -S, a deprecated kind of snapshot, is
// missing; -d and --trust are additions. pot runs the hooks and mounts of any image as
// root; here they need the consent of this host's operator. A failed start leaves nothing
// of the run, but dependencies that were started keep running.
func startCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "start POT",
		Short: "Start a pot",
		Long: `Starts a pot, after the pots that it depends on. A pot that is not persistent ends with its
command: pot start waits for the command and shows its output, and the exit status is 125
if the command fails; pot last-run-stats shows its exit code. A persistent pot runs until
it is stopped. A pot keeps running if pot start is interrupted. The last 16 MiB of each of
its outputs, and at most 32 MiB, are kept on disk for pot logs until it is started again or
destroyed.

Hooks and mounts of this host's directories that came with an image are refused without
--trust.`,
		Example: `  pot start web
  pot start -d web`,
		SuggestFor: []string{"up", "boot", "restart", "unpause"},
	}
	trust := c.Flags().Bool("trust", false, "run hooks and mount directories that came with an image")
	detach := c.Flags().BoolP("detach", "d", false, "do not wait for a pot that is not persistent")
	snapshot := c.Flags().BoolP("snapshot", "s", false, "take a snapshot first, unless the pot is running")
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		ps, conf, err := o.pots()
		// Before local.Start, since only a pot that does not run can be snapshotted.
		if err == nil && *snapshot {
			err = snapshotFirst(c.Context(), ps, name)
		}
		if err != nil {
			return fmt.Errorf("cannot start the pot: %w", err)
		}
		options := local.StartOptions{DNS: conf.DNS, Trust: *trust, Tell: notes(c)}
		if *detach {
			if options.OnExit, err = o.ended(name); err != nil {
				return fmt.Errorf("cannot start the pot: %w", err)
			}
		}
		p, already, err := local.Start(c.Context(), ps, name, options)
		switch {
		case errors.Is(err, local.ErrNotApproved):
			return hinted{fmt.Errorf("cannot start the pot: %w", err), "--trust allows it"}
		case err != nil:
			return fmt.Errorf("cannot start the pot: %w", err)
		// Another pot start, or pot ended, waits for the pot.
		case already || *detach:
			return nil
		}
		return waitStarted(c, ps, p)
	})
}

// snapshotFirst takes a snapshot of a pot, unless it is running.
func snapshotFirst(ctx context.Context, ps *life.Pots, name pot.Name) error {
	s, err := local.Open(ctx, ps.Host(), name)
	if err != nil {
		return err
	}
	if p, err := local.Running(ctx, ps, name); err != nil || p != nil {
		return err
	}
	_, err = s.Snapshot(ctx, false)
	return err
}

// waitStarted waits for the command of a pot that is not persistent, and destroys what is
// left of the pot. For a persistent pot it waits for /etc/rc, if the pot runs that. The pot
// belongs to its supervisor, not to this process: an interrupt ends the wait alone. If the
// exit is not known, because the supervisor was killed, it counts as a failure.
func waitStarted(c *cobra.Command, ps *life.Pots, p *life.Pot) error {
	persistent := p.Persistent()
	if persistent && !local.RunsRC(c.Context(), p) {
		return nil
	}
	shown := p.Follow(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
	end, err := p.Wait(c.Context())
	shown()
	switch {
	case c.Context().Err() != nil:
		return hinted{errors.New("interrupted: the pot keeps running"), "pot stop " + string(p.Name()) + " stops it"}
	case err != nil && !errors.Is(err, pot.ErrUnknownExit):
		return fmt.Errorf("cannot wait for the pot: %w", err)
	case persistent:
		return nil
	}
	// An interrupt must not leave half of the pot.
	ctx := context.WithoutCancel(c.Context())
	if _, err := local.Stop(ctx, ps, p.Name(), local.StartOptions{Tell: notes(c)}); err != nil {
		return fmt.Errorf("cannot stop the pot: %w", err)
	}
	if err != nil || end.Code != 0 {
		return exitStatus{errReported, exitFailed}
	}
	return nil
}

// ended returns the command line of pot ended for a pot. The supervisor runs it in another
// directory, with another environment: paths are absolute and defaults from variables are
// spelled out.
func (o *hostFlags) ended(name pot.Name) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	argv := []string{self, "ended", "-p", string(name)}
	for flag, path := range map[string]string{"config": o.file, "dir": o.dir, "supervisor": o.supervisorPath()} {
		if path == "" {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		argv = append(argv, "--"+flag+"="+path)
	}
	if o.root != "" {
		argv = append(argv, "--zfs-root="+o.root)
	}
	return argv, nil
}

// endedCommand is run by the supervisor of a pot that was started with pot start -d: no
// other process waits for the command. It is hidden, and not in pot. If it fails nothing is
// lost: start, stop and destroy clean up in the same way.
func endedCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ended POT",
		Short: "Clean up after a pot whose command has ended",
		Long: `Cleans up after a pot that is not persistent and whose command has ended: removes its
jail, mounts and addresses. A running pot is left unchanged. A pot started by pot start -d
runs this command itself.`,
		Hidden: true,
	}
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		o.lenient = true // the paths are spelled out, also where they are defaults
		ps, _, err := o.pots()
		if err == nil {
			_, err = local.Running(c.Context(), ps, name)
		}
		if err != nil {
			return fmt.Errorf("cannot clean up after the pot: %w", err)
		}
		return nil
	})
}

// stopCommand stops a pot (pot stop -p); -i and -s of pot are for its own calls. pot fails
// for a pot that has not run since the host booted; here that succeeds with a note, so that
// a script can repeat it. pot ignores a jail that does not end and reports success; here
// that is an error, and the next call tries again.
func stopCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "stop POT",
		Short: "Stop a pot",
		Long: `Stops a pot: runs its attribute exec_stop, if that is set, and sends SIGTERM. After
stop_timeout seconds, another attribute, remaining processes are killed. A pot that is not
running is left unchanged.`,
		Example:    `  pot stop web`,
		SuggestFor: []string{"down", "halt", "shutdown", "restart"},
	}
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		ps, _, err := o.pots()
		stopped := false
		if err == nil {
			stopped, err = local.Stop(c.Context(), ps, name, local.StartOptions{Tell: notes(c)})
		}
		if err != nil {
			return fmt.Errorf("cannot stop the pot: %w", err)
		}
		if !stopped {
			notes(c)("pot " + string(name) + " was not running")
		}
		return nil
	})
}

// running returns a running pot, started by hand or by a Nomad task. A pot that runs by
// pot's own scripts has no record here and counts as not running.
func (o *hostFlags) running(ctx context.Context, name pot.Name) (*life.Pot, error) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, err
	}
	p, err := ps.Find(name)
	if err == nil {
		_, err = ps.FindJail(ctx, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := ps.Host().Datasets.Dir(ctx, string(name)); errors.Is(err, fs.ErrNotExist) {
			return nil, pot.Reword(fs.ErrNotExist, "no such pot: %s", name)
		}
		return nil, hinted{fmt.Errorf("pot %s is not running", name), "pot start " + string(name) + " starts it"}
	}
	return p, err
}
