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
func (o *hostFlags) library() (*flavour.Library, error) {
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
func completeFlavours(o *hostFlags) cobra.CompletionFunc {
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
	o := addHostFlags(c)
	c.ValidArgsFunction = completeFlavours(o)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		l, err := o.library()
		if err != nil {
			return err
		}
		all := []checkedFlavour{}
		bad := false
		for _, name := range args {
			read, err := l.Read(name)
			if err != nil { // a line each: there may be many
				fmt.Fprintln(c.ErrOrStderr(), err)
				bad = true
				continue
			}
			all = append(all, checkedFlavour{name, len(read[0].Steps), read[0].Script != nil})
		}
		err = output.tell(c.OutOrStdout(), all, func(w io.Writer) error { return checkedText(w, all) })
		if err == nil && bad {
			err = errReported
		}
		return err
	})
	return c
}

// checkedFlavour is a flavour that nothing is wrong with.
type checkedFlavour struct {
	Name     string `json:"name"`
	Commands int    `json:"commands"`
	Script   bool   `json:"script"`
}

func checkedText(w io.Writer, all []checkedFlavour) error {
	for _, f := range all {
		script := "no script"
		if f.Script {
			script = "a script"
		}
		if _, err := fmt.Fprintf(w, "%s: %s, %s\n", f.Name, counted(f.Commands, "command"), script); err != nil {
			return err
		}
	}
	return nil
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
			return err
		}
		shown := map[string]string{"commands": string(commands), "script": string(script)}
		return output.tell(c.OutOrStdout(), shown, func(w io.Writer) error {
			_, err := w.Write(append(commands, script...))
			return err
		})
	})
	return c
}
