// Package cli is the command line: nomad-driver-pot COMMAND, or pot COMMAND through a link.
// Each file holds a command, or a few that belong together. Commands and flags are those
// that pot's own shell scripts have (share/pot/COMMAND.sh of the port sysutils/pot), so
// that scripts written for pot work. Where a command differs, the comment on its
// constructor gives the reason. Exit statuses differ throughout: see Main.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot/supervise"
	"nomad-driver-pot/schema"
	"nomad-driver-pot/version"
)

// Main runs the command in args and returns its exit status: 0 success, 1 failure, 2 usage
// error; exec, run and term return the status of their command. Programs that the command
// executes inherit only standard input, output and error of this process. args[0] is the
// name that the program was called by: it is the name in all messages.
func Main(args []string, stdout, stderr io.Writer) int {
	supervise.SetUmask()
	if err := supervise.SealDescriptors(); err != nil {
		return report(stderr, New(filepath.Base(args[0])), failed{fmt.Errorf("cannot mark inherited descriptors: %w", err)})
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	root := New(filepath.Base(args[0]))
	root.SetArgs(args[1:])
	root.SetOut(stdout)
	root.SetErr(stderr)
	c, err := root.ExecuteContextC(ctx)
	if err != nil {
		readOutput(c, args[1:])
	}
	return report(stderr, c, err)
}

// New returns the command line under the name that it was called by. Package man makes the
// manual pages from it.
func New(name string) *cobra.Command {
	root := &cobra.Command{
		Use:   name,
		Short: "Run packaged FreeBSD jails",
		Long: name + ` runs pots, packaged FreeBSD jails. Started by a Nomad agent it is the task
driver "pot": put it into the agent's plugin_dir and name it in a plugin block.`,
		Example: `  pot doctor
  pot create web -b 14.2 -N public-bridge
  pot run web
  pot export -A web -t 1.0`,
		Version:           version.String(),
		Args:              commandOf,
		RunE:              needsCommand,
		SilenceErrors:     true, // report prints them
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(flagFault)
	root.SetUsageFunc(usage)
	root.SetHelpCommand(helpCommand())
	for _, g := range groups() {
		root.AddGroup(&g.Group)
		for _, c := range g.commands {
			c.GroupID = g.ID
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID(hostGroup)
	root.SetCompletionCommandGroupID(hostGroup)
	nameExamples(root)
	return root
}

// potInExample is the command line's name at the start of an example, or after a pipe.
var potInExample = regexp.MustCompile(`(?m)(^ +|\| )pot `)

// nameExamples puts the name that the command line was called by into all examples: where
// it is installed under another name, pot is the shell tool.
func nameExamples(c *cobra.Command) {
	c.Example = potInExample.ReplaceAllString(c.Example, "${1}"+c.Root().Name()+" ")
	for _, sub := range c.Commands() {
		nameExamples(sub)
	}
}

// group is a group of commands, under one title in the help.
type group struct {
	cobra.Group
	commands []*cobra.Command
}

// hostGroup is the ID of the group that cobra's own commands are in.
const hostGroup = "host"

// groups returns all commands, in the order of the help.
func groups() []group {
	return []group{
		{cobra.Group{ID: "pots", Title: "Pots:"}, potCommands()},
		{cobra.Group{ID: "settings", Title: "Settings of pots:"}, setCommands()},
		{cobra.Group{ID: "images", Title: "Images:"}, imageCommands()},
		{cobra.Group{ID: "flavours", Title: "Flavours:"}, []*cobra.Command{flavourCommand()}},
		{cobra.Group{ID: hostGroup, Title: "Host:"}, hostCommands()},
	}
}

// potCommands returns the commands that create, start, use, list and destroy pots.
func potCommands() []*cobra.Command {
	return []*cobra.Command{
		createCommand(), cloneCommand(), prepareCommand(), renameCommand(), destroyCommand(), pruneCommand(),
		startCommand(), stopCommand(), endedCommand(), runCommand(), termCommand(), execCommand(), signalCommand(),
		listCommand(), psCommand(), infoCommand(), logsCommand(), showCommand(), topCommand(), getRSSCommand(), lastRunStatsCommand(),
		snapshotCommand(), purgeSnapshotsCommand(), revertCommand(), copyInCommand(), copyOutCommand(),
	}
}

// hostCommands returns the commands about this host.
func hostCommands() []*cobra.Command {
	return []*cobra.Command{
		initCommand(), deInitCommand(), doctorCommand(), configCommand(), createBaseCommand(), createPrivateBridgeCommand(),
		vnetStartCommand(), versionCommand(),
	}
}

// versionCommand prints the version (pot version). It is this program's, not the version of
// pot that it stands for; cobra's --version prints the same.
func versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  pot version -o json`,
		Args:    arguments(),
	}
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		v := version.String()
		return output.line(c.OutOrStdout(), schema.Version{Version: v}, c.Root().Name()+" "+v)
	})
	return c
}
