package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commonFlags are the flags that all commands about this host's pots have.
var commonFlags = []string{"config", "dir", "help", "output", "supervisor", "verbose", "zfs-root"}

// isCommon reports whether f is a flag that many commands have, with one meaning.
func isCommon(f *pflag.Flag) bool {
	return slices.Contains(commonFlags, f.Name) && f.Annotations[ownMeaning] == nil
}

// ownMeaning annotates a flag that has the name of a common flag, but a meaning of its own.
const ownMeaning = "own"

// Flags returns a command's own flags, and apart from them the flags that it shares with
// other commands.
func Flags(c *cobra.Command) (own, common *pflag.FlagSet) {
	own, common = pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if isCommon(f) {
			common.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	return own, common
}

// usage prints how a command is used: its form, examples, subcommands by group, and flags.
func usage(c *cobra.Command) error {
	var b strings.Builder
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n"); text != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n", title, text)
		}
	}
	form := "  " + c.UseLine()
	if c.HasAvailableSubCommands() {
		form = "  " + c.CommandPath() + " COMMAND"
	}
	section("Usage:", form)
	section("Aliases:", strings.Join(indented(c.Aliases), "\n"))
	section("Examples:", c.Example)
	for _, g := range c.Groups() {
		section(g.Title, commands(c, g.ID))
	}
	section("Commands:", commands(c, ""))
	own, common := Flags(c)
	section("Flags:", own.FlagUsages())
	section("Common flags:", common.FlagUsages())
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s help COMMAND shows a command.\n", c.CommandPath())
	}
	_, err := fmt.Fprint(c.OutOrStderr(), strings.TrimPrefix(b.String(), "\n"))
	return err
}

func indented(names []string) (lines []string) {
	for _, name := range names {
		lines = append(lines, "  "+name)
	}
	return lines
}

// commands lists the subcommands of a group, one to a line. "" is the group of commands that have none.
func commands(c *cobra.Command, group string) string {
	var b strings.Builder
	for _, sub := range c.Commands() {
		if sub.GroupID == group && (sub.IsAvailableCommand() || sub.Name() == "help") {
			fmt.Fprintf(&b, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
		}
	}
	return b.String()
}

// helpCommand is cobra's help command, which here fails for an unknown command. cobra's own
// prints another command's help instead, with status 0, which hides a typing error from a
// script.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Show help for a command",
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			switch {
			case err != nil:
				return err
			case len(rest) > 0:
				return noSuch(of, rest[0])
			}
			// cobra adds both flags only when a command is executed.
			of.InitDefaultHelpFlag()
			of.InitDefaultVersionFlag()
			return of.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if of, rest, err := c.Root().Find(args); err == nil && len(rest) == 0 {
				for _, sub := range of.Commands() {
					if sub.IsAvailableCommand() {
						names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
