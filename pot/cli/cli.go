// Package cli is the command line: nomad-driver-pot COMMAND, or pot COMMAND through a link.
// Each file holds a command, or a few that belong together. Commands and flags are those
// that pot's own shell scripts have (share/pot/COMMAND.sh of the port sysutils/pot), so
// that scripts written for pot work. Where a command differs, the comment on its
// constructor gives the reason. Exit statuses differ throughout: see Main.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot/supervise"
)

// Version is the version of the plugin and of the command line.
const Version = "0.1.0"

// Main runs the command in args and returns its exit status: 0 success, 1 failure, 2 usage
// error; exec, run and term return the status of their command. Programs that the command
// executes inherit only standard input, output and error of this process. args[0] is the
// name that the program was called by: it is the name in all messages.
func Main(args []string, stdout, stderr io.Writer) int {
	supervise.SetUmask()
	if err := supervise.SealDescriptors(); err != nil {
		return report(stderr, filepath.Base(args[0]), failed{fmt.Errorf("cannot mark inherited descriptors: %w", err)})
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	root := New(filepath.Base(args[0]))
	root.SetArgs(args[1:])
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(stderr, root.Name(), root.ExecuteContext(ctx))
}

// New returns the command line under the name that it was called by. Package man makes the
// manual pages from it.
func New(name string) *cobra.Command {
	root := &cobra.Command{
		Use:   name,
		Short: "Run packaged FreeBSD jails",
		Long: name + ` runs pots, packaged FreeBSD jails. Started by a Nomad agent it is the task
driver "pot": put it into the agent's plugin_dir and name it in a plugin block.`,
		Version:           Version,
		Args:              commandOf,
		RunE:              needsCommand,
		SilenceErrors:     true, // report prints them
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(flagFault)
	root.SetHelpCommand(helpCommand())
	root.AddCommand(configCommand(), doctorCommand(), imageCommand(), initCommand(), deInitCommand(), flavourCommand(), versionCommand())
	root.AddCommand(setCommands()...)
	root.AddCommand(lifeCommands()...)
	root.AddCommand(datasetCommands()...)
	return root
}

func versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  arguments(),
	}
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		return output.line(c.OutOrStdout(), "version", Version, c.Root().Name()+" "+Version)
	})
	return c
}

// failed is an error of a command that was run. All other errors are usage errors. cobra
// has one error path for both: only this type tells them apart, for the exit status.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

// runE returns a function for cobra's RunE, which calls do and marks its error as failed.
// Usage is checked before. It is for commands without checks of their own. A command with
// checks makes them first, outside of runE, so that its errors are usage errors.
func runE(do func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := do(c, args); err != nil {
			return failed{err}
		}
		return nil
	}
}

// errReported is a failure that has been printed already.
var errReported = errors.New("reported")

// exitStatus is an error with an exit status of its own. It wins over failed in report.
type exitStatus struct {
	error
	code int
}

func (s exitStatus) Unwrap() error { return s.error }

// hinted is an error with a hint on how to avoid it. The hint is not part of Error:
// errors.Join and wrapping would bury it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// report prints err on one line, and its hint on another, and returns the exit status. pot
// prints everything, errors too, to standard output; here results alone go there.
func report(stderr io.Writer, name string, err error) int {
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err.Error()))
	}
	var h hinted
	if errors.As(err, &h) {
		fmt.Fprintf(stderr, "%s: hint: %s\n", name, h.hint)
	}
	var s exitStatus
	if errors.As(err, &s) {
		return s.code
	}
	var f failed
	if errors.As(err, &f) {
		return 1
	}
	return 2
}

// oneLine returns joined errors as one line. A script can then take each line of standard
// error as one message.
func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }
