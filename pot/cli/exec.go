package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// execCommand runs a command in a running pot (pot exec -p -d -t -e -u -U). pot runs
// jexec(8); here the command is started by life.Pot.Exec, as the driver's are. -u finds the
// user in the host's passwd(5) and -U in the pot's, as jexec does. Tasks' pots are allowed:
// the command changes only what the pot itself could.
func execCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "exec POT COMMAND [ARG]...",
		Short: "Run a command in a running pot",
		Long: `Runs a command in a running pot, as root or as another user, and exits with its
status. The command does not inherit this command's environment. With -p POT the first
argument is the command.

The exit status is 125 if the command could not be run, 126 if it is not executable, and
127 if the pot does not have it.`,
		Example: `  pot exec web ls -l /
  pot exec -t web sh
  pot exec -p web -e LANG=C -U www id`,
		SuggestFor: []string{"attach", "jexec"},
	}
	f := c.Flags()
	f.SetInterspersed(false) // flags after COMMAND belong to it
	name := potFlag(c)
	tty := f.BoolP("tty", "t", false, "give the command a terminal")
	detach := f.BoolP("detach", "d", false, "do not wait for the command; its output is discarded")
	env := f.StringArrayP("env", "e", nil, "`VAR=value` for its environment; may be repeated")
	hostUser := f.StringP("host-user", "u", "", "run it as this `user` of the host")
	potUser := f.StringP("user", "U", "", "run it as this `user` of the pot")
	o := addHostFlags(c)
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		args, err := takePot(name, args)
		if len(args) > 0 && args[0] == "--" { // as for kubectl exec
			args = args[1:]
		}
		errs := []error{err}
		if len(args) == 0 && *name != "" {
			errs = append(errs, errors.New("a command is missing"))
		}
		if *hostUser != "" && *potUser != "" {
			errs = append(errs, errors.New("-u and -U are mutually exclusive"))
		}
		if *tty && *detach {
			errs = append(errs, errors.New("-t and -d are mutually exclusive"))
		}
		if len(*env) > 0 {
			errs = append(errs, namedAs(local.SetEnv{Vars: *env}.Validate(), "-E", "-e"))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			e := life.Exec{Argv: args, Env: *env, User: *potUser, Terminal: *tty}
			if *hostUser != "" {
				u, err := user.Lookup(*hostUser)
				if err != nil {
					return notRun(fmt.Errorf("cannot run the command: -u: %w", err))
				}
				e.User = u.Uid + ":" + u.Gid
			}
			return o.exec(c, pot.Name(*name), e, *detach)
		})(c, nil)
	}
	return c
}

// exec runs a command in a running pot, and with detach does not wait for it.
func (o *hostFlags) exec(c *cobra.Command, name pot.Name, e life.Exec, detach bool) error {
	p, err := o.running(c.Context(), name)
	if err != nil {
		return notRun(fmt.Errorf("cannot run the command: %w", err))
	}
	if !detach {
		return attach(c, p, e)
	}
	if err := p.Spawn(c.Context(), e); err != nil {
		return notRun(fmt.Errorf("cannot run the command: %w", err))
	}
	return nil
}

// namedAs returns err with a flag's name replaced by the one that it has here. local.SetEnv
// names its own command's flag.
func namedAs(err error, from, to string) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), from, to))
}

// attach runs a command with this one's input and outputs, and returns its exit status. A
// terminal is set to raw mode: the pot's terminal does the editing and turns ^C into a
// signal for the command, not for this process.
func attach(c *cobra.Command, p *life.Pot, e life.Exec) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	e.Stdin, e.Stdout, e.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
	if fd := int(os.Stdin.Fd()); e.Terminal && e.Stdin == os.Stdin && term.IsTerminal(fd) {
		before, err := term.MakeRaw(fd)
		if err != nil {
			return notRun(fmt.Errorf("cannot use the terminal: %w", err))
		}
		defer term.Restore(fd, before)
		e.Resize = terminalSizes(ctx, fd)
		// Programs that draw on the terminal need its kind. It is all that the pot gets of
		// this environment.
		e.Env = append([]string{"TERM=" + os.Getenv("TERM")}, e.Env...)
	}
	exit, err := p.Exec(ctx, e)
	switch {
	case err != nil:
		return notRun(fmt.Errorf("cannot run the command: %w", err))
	case exit.Code != 0:
		return exitStatus{errReported, exit.Code}
	}
	return nil
}

// Exit statuses of exec, run and term where there is none of a command, as docker has them.
const (
	exitNotRun        = 125
	exitNotExecutable = 126
	exitNotFound      = 127
)

// notRun returns err with the exit status for a command that did not run.
func notRun(err error) error {
	switch {
	case errors.Is(err, pot.ErrNotInPot):
		return exitStatus{err, exitNotFound}
	case errors.Is(err, pot.ErrNotExecutable):
		return exitStatus{err, exitNotExecutable}
	}
	return exitStatus{err, exitNotRun}
}

// terminalSizes sends the size of a terminal, now and after each change, until ctx ends.
// The first size is sent at once: a pseudo-terminal begins with 0 rows.
func terminalSizes(ctx context.Context, fd int) <-chan life.Size {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	sizes := make(chan life.Size)
	go func() {
		defer signal.Stop(changed)
		for {
			if cols, rows, err := term.GetSize(fd); err == nil {
				select {
				case sizes <- life.Size{Rows: uint16(rows), Cols: uint16(cols)}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}

// termCommand opens root's shell (pot term -p -f): a running pot is required, unless -f
// starts it.
func termCommand() *cobra.Command {
	c := &cobra.Command{
		Use:        "term POT",
		Short:      "Open a shell in a running pot",
		Long:       `Opens root's shell in a running pot, and exits with its status: 125 if there could be none.`,
		Example:    `  pot term web`,
		SuggestFor: []string{"shell", "sh", "console", "login", "enter", "attach"},
	}
	force := c.Flags().BoolP("force", "f", false, "start the pot if it is not running")
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error { return shell(c, o, name, *force) })
}

// runCommand starts a pot and opens root's shell (pot run). Whatever happens to the shell,
// the pot keeps running.
func runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run POT",
		Short: "Start a pot and open a shell in it",
		Long: `Starts a pot, if it is not running, and opens root's shell in it. The pot keeps
running when the shell ends. The exit status is the shell's, or 125 if there could be
none.`,
		Example: `  pot run web`,
	}
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error { return shell(c, o, name, true) })
}

// shell opens root's shell in a pot, which it starts first if start is true. It waits for
// /etc/rc of a pot that it has started: before that there may be no network, and services
// that the person came for are not up.
func shell(c *cobra.Command, o *hostFlags, name pot.Name, start bool) error {
	if start {
		ps, conf, err := o.pots()
		if err != nil {
			return notRun(fmt.Errorf("cannot start the pot: %w", err))
		}
		p, already, err := local.Start(c.Context(), ps, name, local.StartOptions{DNS: conf.DNS, Tell: notes(c)})
		if err != nil {
			return exitStatus{fmt.Errorf("cannot start the pot: %w", err), exitNotRun}
		}
		// /etc/rc exits when it has started the services; any other command would not.
		if !already && p.Persistent() && local.RunsRC(c.Context(), p) {
			if _, err := p.Wait(c.Context()); err != nil {
				return notRun(fmt.Errorf("cannot wait for the pot: %w", err))
			}
		}
	}
	p, err := o.running(c.Context(), name)
	if err != nil {
		return notRun(fmt.Errorf("cannot open a shell: %w", err))
	}
	argv, err := p.Shell()
	if err != nil {
		return notRun(fmt.Errorf("cannot open a shell: %w", err))
	}
	return attach(c, p, life.Exec{Argv: argv, Terminal: term.IsTerminal(int(os.Stdin.Fd()))})
}
