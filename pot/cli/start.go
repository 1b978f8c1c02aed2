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

// lifeCommands are pot's commands about pots that run.
func lifeCommands() []*cobra.Command {
	return []*cobra.Command{
		startCommand(), stopCommand(), endedCommand(), runCommand(), termCommand(), execCommand(), signalCommand(),
		psCommand(), lastRunStatsCommand(), getRSSCommand(), topCommand(), vnetStartCommand(),
	}
}

// onPot makes c a command about one pot, named with -p or alone behind the command.
func onPot(c *cobra.Command, do func(c *cobra.Command, o *hostFlags, name pot.Name) error) *cobra.Command {
	name := potFlag(c)
	o := addHostFlags(c)
	c.Args = cobra.ArbitraryArgs
	c.RunE = aboutPot(o, name, do)
	return c
}

// onPotOr is onPot, or about a private bridge if that is named.
func onPotOr(c *cobra.Command, bridge *string, aboutBridge func(c *cobra.Command, o *hostFlags) error, do func(c *cobra.Command, o *hostFlags, name pot.Name) error) *cobra.Command {
	name := potFlag(c)
	o := addHostFlags(c)
	pots := aboutPot(o, name, do)
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case *bridge == "":
			return pots(c, args)
		case *name != "" || len(args) > 0:
			return errors.New("-B: it is about a bridge, or about a pot, but not both")
		}
		return runE(func(c *cobra.Command, _ []string) error { return aboutBridge(c, o) })(c, nil)
	}
	return c
}

// aboutPot does something about the pot that is named.
func aboutPot(o *hostFlags, name *string, do func(c *cobra.Command, o *hostFlags, name pot.Name) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		switch {
		case *name == "" && len(args) > 0:
			*name, args = args[0], args[1:]
		}
		if len(args) > 0 {
			return arguments()(c, args)
		}
		if err := checkPotName(*name); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error { return do(c, o, pot.Name(*name)) })(c, nil)
	}
}

// notes says what is as it should not be, where errors go.
func notes(c *cobra.Command) func(string) {
	return func(text string) { fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", c.Root().Name(), oneLine(text)) }
}

// exitFailed is the status of pot start for a command that has failed, so that it is
// told from a pot that could not be started (pot-reference 7.1).
const exitFailed = 125

func startCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "start [-p] POT",
		Short: "start a pot",
		Long: `Starts a pot, after those that it depends on. One that is not persistent ends with
its command: that is waited for, and its output shown, and the exit status is 125 if the
command's is not 0; pot last-run-stats says which it was. One that is persistent stays
until it is stopped. A pot goes on when this command is interrupted. Of each of its outputs
the last 16 MiB are kept while it is there, and at most twice that.

Programs to be run on this host, and directories of it to be mounted, that have come with
an image are refused without --trust.`,
	}
	trust := c.Flags().Bool("trust", false, "run hooks and mount directories that were not set on this host")
	detach := c.Flags().BoolP("detach", "d", false, "do not wait for the end of a pot that is not persistent")
	snapshot := c.Flags().BoolP("snapshot", "s", false, "take a snapshot of the pot first, if it does not run")
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		ps, conf, err := o.pots()
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
			return hinted{fmt.Errorf("cannot start the pot: %w", err), "--trust takes it as it is"}
		case err != nil:
			return fmt.Errorf("cannot start the pot: %w", err)
		case already || *detach:
			return nil
		}
		return waitStarted(c, ps, p)
	})
}

// snapshotFirst takes a snapshot of a pot that does not run.
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

// waitStarted waits for what pot start waits for: the end of a pot that ends with its
// command, or of what another runs to start its services.
func waitStarted(c *cobra.Command, ps *life.Pots, p *life.Pot) error {
	persistent := p.Persistent()
	if persistent && !local.RunsRC(c.Context(), p) {
		return nil
	}
	shown := p.Follow(c.OutOrStdout(), c.ErrOrStderr())
	end, err := p.Wait(c.Context())
	shown()
	switch {
	case c.Context().Err() != nil:
		return hinted{errors.New("not waited for: the pot goes on"), "pot stop " + string(p.Name()) + " stops it"}
	case err != nil && !errors.Is(err, pot.ErrUnknownExit):
		return fmt.Errorf("cannot wait for the pot: %w", err)
	case persistent:
		return nil
	}
	ctx := context.WithoutCancel(c.Context())
	if _, err := local.Stop(ctx, ps, p.Name(), local.StartOptions{Tell: notes(c)}); err != nil {
		return fmt.Errorf("cannot take the pot down: %w", err)
	}
	if err != nil || end.Code != 0 {
		return exitStatus{errReported, exitFailed}
	}
	return nil
}

// ended is the command line that takes away what is left of a pot whose command has ended.
func (o *hostFlags) ended(name pot.Name) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	argv := []string{self, "ended", "-p", string(name)}
	for flag, path := range map[string]string{"config": o.file, "dir": o.dir, "supervisor": o.supervisorPath()} {
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

// endedCommand is for the supervisors of pots that nobody waits for.
func endedCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ended -p POT",
		Short: "take away what is left of a pot whose command has ended",
		Long: `Takes away what is left of a pot that is not persistent and whose command has ended.
One that runs is left as it is. pot start -d has it run.`,
		Hidden: true,
	}
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		ps, _, err := o.pots()
		if err == nil {
			_, err = local.Running(c.Context(), ps, name)
		}
		if err != nil {
			return fmt.Errorf("cannot take the pot away: %w", err)
		}
		return nil
	})
}

func stopCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "stop [-p] POT",
		Short: "stop a pot",
		Long: `Asks a pot to end: by its attribute exec_stop, if that is set, and by SIGTERM.
What has not ended after as many seconds as the attribute stop_timeout says is killed.
One that does not run is left as it is.`,
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

// running is a pot that runs: one that was started by hand or is a task's.
func (o *hostFlags) running(ctx context.Context, name pot.Name) (*life.Pot, error) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, err
	}
	p, err := ps.Find(name)
	if err == nil {
		_, err = ps.Host().Jails.Find(ctx, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hinted{fmt.Errorf("pot %s is not running", name), "pot start " + string(name) + " starts it"}
	}
	return p, err
}
