package cli

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// defaultSignal is pot's, SIGINFO, where there is one.
func defaultSignal() string {
	if unix.SignalNum("SIGINFO") != 0 {
		return "SIGINFO"
	}
	return "SIGUSR1"
}

// signalNamed is a signal by its name, with or without SIG.
func signalNamed(name string) (syscall.Signal, error) {
	if sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("-s: no such signal: %q", name)
}

func signalCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "signal -p POT [-s SIGNAL]",
		Short: "send a signal to a pot's command",
		Long: `Sends a signal to the command of a pot that runs. A pot that is persistent may have
no command any more: that is an error, but for -f.`,
		Args: arguments(),
	}
	f := c.Flags()
	name := potFlag(c)
	text := f.StringP("signal", "s", defaultSignal(), "`name` of the signal, with or without SIG")
	force := f.BoolP("force", "f", false, "end well whatever becomes of it")
	all := f.BoolP("list", "l", false, "list the signals that there are")
	dry := f.BoolP("check", "C", false, "send nothing: print the process that would get it")
	pid := f.StringP("pid", "P", "", "not there yet")
	match := f.StringP("match", "m", "", "not there yet")
	_, _ = f.MarkHidden("pid"), f.MarkHidden("match")
	o := addOnPots(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *all {
			var names []string
			for n := 1; n < 32; n++ {
				if name := unix.SignalName(syscall.Signal(n)); name != "" {
					names = append(names, strings.TrimPrefix(name, "SIG"))
				}
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), strings.Join(names, " "))
			return err
		}
		sig, err := signalNamed(*text)
		if err := errors.Join(checkPotName(*name), err); err != nil {
			return err
		}
		return act(func(c *cobra.Command, _ []string) error {
			if *pid != "" || *match != "" {
				return errors.New("cannot send the signal: -P and -m are not there yet")
			}
			err := o.signal(c, pot.Name(*name), sig, *dry)
			if err != nil && *force {
				notes(c)("signal not sent: " + err.Error())
				return nil
			}
			if err != nil {
				return fmt.Errorf("cannot send the signal: %w", err)
			}
			return nil
		})(c, nil)
	}
	return c
}

func (o *onPots) signal(c *cobra.Command, name pot.Name, sig syscall.Signal, dry bool) error {
	p, err := o.running(c.Context(), name)
	if err != nil {
		return err
	}
	if dry {
		sig = 0
	}
	err = p.Signal(sig)
	if errors.Is(err, supervise.ErrEnded) {
		return fmt.Errorf("the command of pot %s has ended", name)
	}
	if err != nil || !dry {
		return err
	}
	_, id, err := p.Started()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), id)
	return err
}
