package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nomad-driver-pot/flavour"
)

// flavourCommand is what leads to the commands for flavours.
func flavourCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "flavour",
		Short: "look at flavours, the recipes of pots",
		Long: `Looks at flavours, the recipes that pot create -f and pot clone -f apply. FLAVOUR
is a name or a path. A flavour is a file of commands, one a line, and a script that is
run inside the pot, named as the file is, with .sh behind it; one of them may be
missing. They are looked for in the working directory, in the directory flavours beside
pot's configuration, and then among those that come with this program.`,
		Args: commandOf,
		RunE: needsCommand,
	}
	c.AddCommand(flavourApplyCommand(), flavourCheckCommand(), flavourListCommand(), flavourShowCommand())
	return c
}

// library is where this host's flavours are.
func (o *onPots) library() (*flavour.Library, error) {
	root, err := o.zfsRoot()
	if err != nil {
		return nil, err
	}
	l := &flavour.Library{ZFSRoot: root}
	if o.file != "" {
		l.Dir = filepath.Join(filepath.Dir(o.file), "flavours")
	}
	l.WorkDir, err = os.Getwd()
	return l, err
}

// completeFlavours are their names, for shells.
func completeFlavours(o *onPots) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		l, err := o.library()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		found, _ := l.List()
		var names []string
		for _, f := range found {
			names = append(names, f.Name)
		}
		return names, cobra.ShellCompDirectiveDefault // or a file
	}
}

func flavourCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check FLAVOUR...",
		Short: "say everything that is wrong with flavours",
		Long: `Reads flavours as pot create -f does, and says everything that is wrong with them,
by file and line. Nothing is changed.`,
		Args: cobra.MinimumNArgs(1),
	}
	o := addOnPots(c)
	c.ValidArgsFunction = completeFlavours(o)
	c.RunE = act(func(c *cobra.Command, args []string) error {
		l, err := o.library()
		if err != nil {
			return err
		}
		bad := false
		for _, name := range args {
			all, err := l.Read(name)
			if err != nil { // a line each: there may be many
				fmt.Fprintln(c.ErrOrStderr(), err)
				bad = true
				continue
			}
			script := "no script"
			if s := all[0].Script; s != nil {
				script = "a script"
			}
			if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: %s, %s\n", name, counted(len(all[0].Steps), "command"), script); err != nil {
				return err
			}
		}
		if bad {
			return errSaid
		}
		return nil
	})
	return c
}

// counted is a number of things, in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func flavourListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "list the flavours that there are",
		Args:  arguments(),
	}
	o := addOnPots(c)
	output := addOutput(c)
	c.RunE = act(func(c *cobra.Command, _ []string) error {
		l, err := o.library()
		if err != nil {
			return err
		}
		found, err := l.List()
		if err != nil {
			return fmt.Errorf("cannot list flavours: %w", err)
		}
		return output.tell(c.OutOrStdout(), found, func(w io.Writer) error {
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

func flavourShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show FLAVOUR",
		Short: "print a flavour's files",
		Args:  arguments("FLAVOUR"),
	}
	o := addOnPots(c)
	c.ValidArgsFunction = completeFlavours(o)
	c.RunE = act(func(c *cobra.Command, args []string) error {
		l, err := o.library()
		if err != nil {
			return err
		}
		commands, script, err := l.Text(args[0])
		if err != nil {
			return err
		}
		_, err = c.OutOrStdout().Write(append(commands, script...))
		return err
	})
	return c
}
