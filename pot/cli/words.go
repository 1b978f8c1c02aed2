package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// commandOf refuses words that are no command of c's.
func commandOf(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return noSuch(c, args[0])
}

// noSuch is a word that is no command of c's, and what there is.
func noSuch(c *cobra.Command, word string) error {
	err := fmt.Errorf("no such command: %q", word)
	c.SuggestionsMinimumDistance = 2 // letters that are wrong
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
		return hinted{err, c.CommandPath() + " has no commands of its own"}
	}
	return hinted{err, "the commands are " + list(names)}
}

// list is names as in a sentence.
func list(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// needsCommand is for what only leads to other commands: alone it is not
// understood, and all of its help is said.
func needsCommand(c *cobra.Command, _ []string) error {
	fmt.Fprintf(c.ErrOrStderr(), "%s\n\n%s", c.Long, c.UsageString())
	return errReported
}

// flagFault is a flag that c does not have, or not so. A word before it that is
// no command is the graver fault.
func flagFault(c *cobra.Command, err error) error {
	if c.HasSubCommands() && c.Flags().NArg() > 0 {
		return noSuch(c, c.Flags().Arg(0))
	}
	return hinted{err, c.CommandPath() + " --help says what there is"}
}

// arguments wants as many words as there are names, which say what they are.
func arguments(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		hint := "it is used as " + c.UseLine()
		switch {
		case len(args) < len(names):
			return hinted{fmt.Errorf("%s is missing", names[len(args)]), hint}
		case len(args) > len(names):
			return hinted{fmt.Errorf("too many words: %q", args[len(names)]), hint}
		}
		return nil
	}
}

// helpCommand is help, with an error for what there is no help on.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "say what there is, or what a command does",
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			switch {
			case err != nil:
				return err
			case len(rest) > 0:
				return noSuch(of, rest[0])
			}
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
