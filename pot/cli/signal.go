package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// defaultSignal returns pot's default, SIGINFO, or SIGUSR1 on a system without it. Linux
// has no SIGINFO (signal(7)).
func defaultSignal() string {
	if unix.SignalNum("SIGINFO") != 0 {
		return "SIGINFO"
	}
	return "SIGUSR1"
}

// signalNamed returns a signal by its name, with or without SIG.
func signalNamed(name string) (syscall.Signal, error) {
	if sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("-s: no such signal: %q", name)
}

// signalCommand signals a pot (pot signal -p -s -P -m -f -l -C). pot refuses a persistent
// pot without -P and -m, since it keeps no process ID of its command; here pot-supervisor
// does. With -P and -m the signal is sent from within the pot, so that the kernel keeps it
// from any other process, whatever the number.
func signalCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "signal POT [-s SIGNAL] [-P PID | -m PATTERN]",
		Short: "Send a signal to a process of a pot",
		Long: `Sends a signal to the command of a running pot, or with -P or -m to other processes of
the pot. The command of a persistent pot may have ended: that is an error without -f.

PID is a process ID as seen in the pot. PATTERN is matched with names of processes, for
which the pot must have pkill(1). Neither reaches a process outside the pot.`,
		Example: `  pot signal web -s HUP
  pot signal web -s TERM -m nginx`,
		SuggestFor: []string{"kill"},
		Args:       cobra.ArbitraryArgs,
	}
	f := c.Flags()
	name := potFlag(c)
	text := f.StringP("signal", "s", defaultSignal(), "`name` of the signal, with or without SIG")
	force := f.BoolP("force", "f", false, "exit with status 0 even if the signal cannot be sent")
	all := f.BoolP("list", "l", false, "list all signals")
	dry := f.BoolP("check", "C", false, "send nothing: print the process that would get it")
	pid := f.Uint32P("pid", "P", 0, "`process` ID in the pot, instead of its command")
	match := f.StringP("match", "m", "", "`pattern` for names of processes, instead of the pot's command")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *all {
			return listSignals(c.OutOrStdout(), output)
		}
		sig, err := signalNamed(*text)
		if *pid != 0 && *match != "" {
			err = errors.Join(err, errors.New("-P and -m are mutually exclusive"))
		}
		if err := errors.Join(onlyPot(c, name, args), err); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			// What -C finds is printed only if all went well.
			var found firstBytes
			var err error
			if argv := signalArgv(sig, *pid, *match, *dry); argv != nil {
				err = o.within(c, pot.Name(*name), argv, &found)
			} else {
				err = o.signal(c, pot.Name(*name), sig, *dry, &found)
			}
			if *dry && err == nil {
				return output.lines(c.OutOrStdout(), strings.Fields(found.String()))
			}
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

// listSignals prints the names of signals. Those from 32 on are for threads and for real
// time.
func listSignals(w io.Writer, output *output) error {
	var names []string
	for n := 1; n < 32; n++ {
		if name := unix.SignalName(syscall.Signal(n)); name != "" {
			names = append(names, strings.TrimPrefix(name, "SIG"))
		}
	}
	return output.print(w, names, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, strings.Join(names, " "))
		return err
	})
}

// signalArgv returns the command, to be run in the pot, that signals a process by its ID or
// name. It returns nil if neither is given: then the pot's command gets the signal. kill is
// the shell's own: an image may have no kill(1). Nothing but numbers and names of signals
// gets into the shell's text; PATTERN is an argument of its own.
func signalArgv(sig syscall.Signal, pid uint32, match string, dry bool) []string {
	name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
	switch {
	case match != "" && dry:
		return []string{"pgrep", "--", match}
	case match != "":
		return []string{"pkill", "-" + name, "--", match}
	case pid != 0 && dry:
		return []string{"/bin/sh", "-c", fmt.Sprintf("kill -0 %d && echo %[1]d", pid)}
	case pid != 0:
		return []string{"/bin/sh", "-c", fmt.Sprintf("kill -s %s %d", name, pid)}
	}
	return nil
}

// within runs a command in a pot. A non-zero exit status is an error.
func (o *hostFlags) within(c *cobra.Command, name pot.Name, argv []string, stdout io.Writer) error {
	p, err := o.running(c.Context(), name)
	if err != nil {
		return err
	}
	exit, err := p.Exec(c.Context(), life.Exec{Argv: argv, Stdout: stdout, Stderr: c.ErrOrStderr()})
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("%s in pot %s: exit status %d", argv[0], name, exit.Code)
	}
	return err
}

// signal sends sig to a pot's command, or, with dry, prints the command's process ID.
// Signal 0 only checks, as kill(2) has it.
func (o *hostFlags) signal(c *cobra.Command, name pot.Name, sig syscall.Signal, dry bool, stdout io.Writer) error {
	p, err := o.running(c.Context(), name)
	if err != nil {
		return err
	}
	if dry {
		sig = 0
	}
	err = p.Signal(sig)
	if errors.Is(err, pot.ErrEnded) {
		return fmt.Errorf("the command of pot %s has ended", name)
	}
	if err != nil || !dry {
		return err
	}
	_, id, err := p.Started()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, id)
	return err
}

// firstBytes keeps the first maxFound bytes written to it: the output of a pot's program is
// not trusted to end.
type firstBytes struct{ strings.Builder }

const maxFound = 1 << 20 // bytes

func (b *firstBytes) Write(p []byte) (int, error) {
	b.Builder.Write(p[:min(len(p), maxFound-b.Len())])
	return len(p), nil
}
