package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandOf refuses words that are no subcommand of c. cobra's default checks only the
// words after the root command.
func commandOf(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return noSuch(c, args[0])
}

// maxListed is how many commands a hint lists. The help lists more in their groups.
const maxListed = 10

// noSuch returns the error for a word that is no subcommand of c, with similar commands,
// or all of them, as a hint.
func noSuch(c *cobra.Command, word string) error {
	err := fmt.Errorf("no such command: %q", word)
	if like := similar(c, word); len(like) > 0 {
		return hinted{err, "did you mean " + strings.Join(like, " or ") + "?"}
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	switch {
	case len(names) == 0:
		return hinted{err, c.CommandPath() + " has no subcommands"}
	case len(names) > maxListed:
		return hinted{err, c.CommandPath() + " help lists the commands"}
	}
	return hinted{err, "the commands are " + list(names)}
}

// similar returns the commands that a word may stand for: those that have it in SuggestFor,
// as the word of another tool, or else those that are spelled alike. How many letters may
// differ depends on the length: two of a short word leave nothing of it.
func similar(c *cobra.Command, word string) []string {
	var meant []string
	for _, sub := range c.Commands() {
		if slices.Contains(sub.SuggestFor, strings.ToLower(word)) {
			meant = append(meant, sub.Name())
		}
	}
	if len(meant) > 0 {
		return meant
	}
	c.SuggestionsMinimumDistance = min((len(word)+1)/3, 2)
	return c.SuggestionsFor(word)
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
// error, and its help is printed. Its error is not a failed one: the exit status is 2.
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
	hint := "see " + c.CommandPath() + " --help"
	if f := otherCase(c, err); f != nil {
		hint = fmt.Sprintf("did you mean -%s, --%s?", f.Shorthand, f.Name)
	}
	return hinted{invalidValue(err), hint}
}

// otherCase returns the flag of c whose letter is the unknown one of err in the other case, or
// nil: other tools have -f where pot has -F.
func otherCase(c *cobra.Command, err error) *pflag.Flag {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() == "" {
		return nil
	}
	letter := unknown.GetSpecifiedShortnames()[0]
	if letter >= utf8.RuneSelf || !unicode.IsLetter(rune(letter)) {
		return nil
	}
	return c.Flags().ShorthandLookup(string(letter ^ 'a' ^ 'A'))
}

// invalidValue returns the error for a bad value of a flag. The flag's type says what it must
// be: the texts of package strconv are for programmers.
func invalidValue(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	cause := errors.Unwrap(invalid)
	must, known := map[string]string{
		"int": "must be a number", "uint": "must be a number from 0", "uint32": "must be a number from 0", "bool": "must be true or false",
		"duration": "must be a time such as 90s",
	}[invalid.GetFlag().Value.Type()]
	switch {
	case known && errors.Is(cause, strconv.ErrRange):
		must = "is out of range"
		fallthrough
	case known:
		cause = fmt.Errorf("%s: %q", must, invalid.GetValue())
	}
	return fmt.Errorf("%s: %w", flagName(invalid.GetFlag()), cause)
}

// flagName returns the shortest name of a flag, as it is typed.
func flagName(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand
	}
	return "--" + f.Name
}

// exclusive returns an error if more than one of these flags of c is set.
func exclusive(c *cobra.Command, names ...string) error {
	var set []string
	for _, name := range names {
		if f := c.Flags().Lookup(name); f.Value.String() != f.DefValue {
			set = append(set, flagName(f))
		}
	}
	if len(set) > 1 {
		return fmt.Errorf("%s are mutually exclusive", list(set))
	}
	return nil
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
