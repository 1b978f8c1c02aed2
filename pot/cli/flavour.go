package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nomad-driver-pot/flavour"
	"nomad-driver-pot/schema"
)

// flavourCommand has the commands for flavours. pot has none: a flavour is tried by
// creating a pot, and most errors show while it is being applied.
func flavourCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "flavour",
		Short: "Apply, check and show flavours, the recipes for pots",
		Long: `Applies, checks and shows flavours, the recipes that pot create -f and pot clone -f use.
FLAVOUR is a name or a path. A flavour is a file of commands, one to a line, and a script
that runs inside the pot and has the file's name with .sh added; either may be missing.
They are searched in the working directory, in the directory flavours beside pot's
configuration, which is /usr/local/etc/pot/flavours unless --config names another, and
then among the flavours of this program.`,
		Example: `  pot flavour check ./nginx
  pot create web -b 14.2 -f ./nginx`,
		Args: commandOf,
		RunE: needsCommand,
	}
	c.AddCommand(flavourApplyCommand(), flavourCheckCommand(), flavourListCommand(), flavourShowCommand())
	return c
}

// potConfig is the path of pot's configuration where pot is installed. A host without one has
// the directory of flavours there all the same.
const potConfig = "/usr/local/etc/pot/pot.conf"

// library returns this host's flavours. They are where pot has them:
// PREFIX/etc/pot/flavours, beside the configuration. The working directory comes first, as
// in pot.
func (o *hostFlags) library() (*flavour.Library, error) {
	root, err := o.zfsRoot()
	if err != nil {
		return nil, err
	}
	l := &flavour.Library{ZFSRoot: root, Dir: filepath.Join(filepath.Dir(cmp.Or(o.file, potConfig)), "flavours")}
	l.WorkDir, err = os.Getwd()
	return l, err
}

// flavourCheckCommand reads flavours by the parser that create uses, and prints every
// error; it needs neither root nor a pot. Flavours that are right are printed even if
// others are wrong: the exit status is 1 then.
func flavourCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check FLAVOUR...",
		Short: "Check flavours for errors",
		Long: `Reads flavours as pot create -f does, and prints every error in them with its file and
line. It changes nothing.`,
		Example: `  pot flavour check nginx ./nginx-cmd`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return arguments("FLAVOUR")(c, args)
			}
			return nil
		},
	}
	o := addHostFlags(c)
	c.ValidArgsFunction = completeFlavours(o)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		l, err := o.library()
		if err != nil {
			return err
		}
		all := []schema.FlavourCheck{}
		var problems []error
		for _, name := range args {
			read, err := l.Read(name)
			if err != nil { // may hold several errors, one to a line
				if isJSON(c) {
					problems = append(problems, hintPlaces(l, err))
				} else {
					fmt.Fprintln(c.ErrOrStderr(), err)
					problems = append(problems, errReported)
				}
				continue
			}
			all = append(all, schema.FlavourCheck{Name: name, CommandCount: len(read[0].Steps), HasScript: read[0].Script != nil})
		}
		err = output.print(c.OutOrStdout(), all, func(w io.Writer) error { return checkedText(w, all) })
		return errors.Join(append(problems, err)...)
	})
	return c
}

func checkedText(w io.Writer, all []schema.FlavourCheck) error {
	for _, f := range all {
		script := "no script"
		if f.HasScript {
			script = "a script"
		}
		if _, err := fmt.Fprintf(w, "%s: %s, %s\n", f.Name, counted(f.CommandCount, "command"), script); err != nil {
			return err
		}
	}
	return nil
}

// counted returns a number with its noun, in the plural where that is due.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// flavourListCommand lists flavours with their files. pot list -F prints the names alone.
func flavourListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List flavours",
		Example: `  pot flavour list`,
		Args:    arguments(),
	}
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		l, err := o.library()
		if err != nil {
			return err
		}
		found, err := l.List()
		if err != nil {
			return fmt.Errorf("cannot list flavours: %w", err)
		}
		return output.print(c.OutOrStdout(), flavoursOf(found), func(w io.Writer) error {
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, f := range found {
				files := f.Commands
				if f.Script != "" {
					if files != "" {
						files += ", "
					}
					files += f.Script
				}
				fmt.Fprintf(t, "%s\t%s\n", f.Name, files)
			}
			return t.Flush()
		})
	})
	return c
}

// flavourShowCommand prints the files that create -f would use under that name: the
// built-in ones exist nowhere else.
func flavourShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "show FLAVOUR",
		Short:   "Print a flavour's files",
		Example: `  pot flavour show pkg`,
		Args:    arguments("FLAVOUR"),
	}
	o := addHostFlags(c)
	c.ValidArgsFunction = completeFlavours(o)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		l, err := o.library()
		if err != nil {
			return err
		}
		commands, script, err := l.Text(args[0])
		if err != nil {
			return hintPlaces(l, err)
		}
		shown := schema.FlavourText{Name: args[0], Commands: string(commands), Script: string(script)}
		return output.print(c.OutOrStdout(), shown, func(w io.Writer) error {
			_, err := w.Write(append(commands, script...))
			return err
		})
	})
	return c
}
