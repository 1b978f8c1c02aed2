package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// commandOf refuses words that are no subcommand of c. cobra's default checks only the
// words after the root command.
func commandOf(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return noSuch(c, args[0])
}

// noSuch returns the error for a word that is no subcommand of c, with similar commands,
// or all of them, as a hint.
func noSuch(c *cobra.Command, word string) error {
	err := fmt.Errorf("no such command: %q", word)
	c.SuggestionsMinimumDistance = 2 // edits between the word and a command
	if like := c.SuggestionsFor(word); len(like) > 0 {
		return hinted{err, "did you mean " + strings.Join(like, " or ") + "?"}
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	if len(names) == 0 {
		return hinted{err, c.CommandPath() + " has no subcommands"}
	}
	return hinted{err, "the commands are " + list(names)}
}

// list joins names as in a sentence: a, b and c.
func list(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// needsCommand is the RunE of a command that only has subcommands: alone it is a usage
// error, and its help is printed.
func needsCommand(c *cobra.Command, _ []string) error {
	fmt.Fprintf(c.ErrOrStderr(), "%s\n\n%s", c.Long, c.UsageString())
	return errReported
}

// flagFault returns the error for an unknown flag or a bad value. A word before it that is
// no command is reported instead: the flag may be right for the command that was meant.
func flagFault(c *cobra.Command, err error) error {
	if c.HasSubCommands() && c.Flags().NArg() > 0 {
		return noSuch(c, c.Flags().Arg(0))
	}
	return hinted{err, "see " + c.CommandPath() + " --help"}
}

// arguments requires one argument for each of names, which are used in errors.
func arguments(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		hint := "usage: " + c.UseLine()
		switch {
		case len(args) < len(names):
			return hinted{fmt.Errorf("%s is missing", names[len(args)]), hint}
		case len(args) > len(names):
			return hinted{fmt.Errorf("too many arguments: %q", args[len(names)]), hint}
		}
		return nil
	}
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
