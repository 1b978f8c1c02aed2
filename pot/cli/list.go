package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/flavour"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
)

func listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "list pots",
		Long:    `Lists the pots of this host, images too; tasks' pots are not listed: pot ps has those.`,
		Args:    arguments(),
	}
	quiet := c.Flags().BoolP("quiet", "q", false, "list names alone")
	c.Flags().BoolP("pots", "p", true, "list pots, as without it")
	flavours := c.Flags().BoolP("flavours", "F", false, "list flavours")
	bridges := c.Flags().BoolP("bridges", "B", false, "list private bridges")
	c.Flags().BoolP("all", "a", false, "as without it")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		if *bridges {
			return o.listBridges(c, *quiet, output)
		}
		if *flavours {
			l, err := o.library()
			var all []flavour.Found
			if err == nil {
				all, err = l.List()
			}
			if err != nil {
				return fmt.Errorf("cannot list flavours: %w", err)
			}
			return output.tell(c.OutOrStdout(), all, func(w io.Writer) error {
				for _, f := range all {
					fmt.Fprintln(w, f.Name)
				}
				return nil
			})
		}
		all, err := o.list(c)
		if err != nil {
			return fmt.Errorf("cannot list pots: %w", err)
		}
		if *quiet {
			var names []string
			for _, i := range all {
				names = append(names, i.Name)
			}
			return output.lines(c.OutOrStdout(), names)
		}
		return output.tell(c.OutOrStdout(), all, func(w io.Writer) error {
			for _, i := range all {
				if err := i.text(w, false); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return c
}

// list are this host's pots. One whose settings cannot be read is said and passed over.
func (o *hostFlags) list(c *cobra.Command) ([]*info, error) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, err
	}
	names, err := local.List(c.Context(), ps)
	all := []*info{}
	for _, name := range names {
		i, err := o.info(c.Context(), name)
		if err != nil {
			notes(c)(err.Error())
			continue
		}
		all = append(all, i)
	}
	return all, err
}

func destroyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "destroy -p POT | -B BRIDGE",
		Short: "take a pot away, with all that is in it, or a private bridge",
		Long: `Takes a pot away, with its tree, its settings and its snapshots. One that runs is
refused without -F, which stops it; one that others are cloned from is refused. A private
bridge that a pot is for is refused too.`,
	}
	bridge := c.Flags().StringP("bridge", "B", "", "`name` of a private bridge, instead of a pot")
	stop := c.Flags().BoolP("force", "F", false, "stop a pot that runs")
	c.Flags().BoolP("recursive", "r", false, "as with pot, of pots of type single: nothing more")
	c.Flags().BoolP("quiet", "q", false, "as without it")
	return onPotOr(c, bridge, func(c *cobra.Command, o *hostFlags) error {
		return o.destroyBridge(c, *bridge)
	}, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		ps, conf, err := o.pots()
		if err == nil {
			err = local.Destroy(c.Context(), ps, name, *stop, local.StartOptions{DNS: conf.DNS, Tell: notes(c)})
		}
		if err != nil {
			return running("destroy the pot", name, err)
		}
		return nil
	})
}

func renameCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rename -p POT -n NAME",
		Short: "give a pot another name",
		Long:  `Gives a pot that does not run another name, by which other pots depend on it from then on.`,
	}
	to := c.Flags().StringP("new", "n", "", "the new `name`")
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		ps, _, err := o.pots()
		if err == nil {
			err = local.Rename(c.Context(), ps, name, pot.Name(*to))
		}
		if err != nil {
			return running("rename the pot", name, err)
		}
		return nil
	})
}

func pruneCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "prune",
		Short: "take away the pots that have run and are marked to be pruned",
		Long: `Destroys the pots that have the attribute prunable, have been started, and do not
run, and prints their names.`,
		Args: arguments(),
	}
	dry := c.Flags().BoolP("dry-run", "n", false, "print their names, and destroy nothing")
	quiet := c.Flags().BoolP("quiet", "q", false, "print nothing")
	grace := c.Flags().BoolP("grace", "g", false, "leave pots whose command has ended within the last minute")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		ps, _, err := o.pots()
		if err != nil {
			return fmt.Errorf("cannot prune: %w", err)
		}
		var pruned []string
		all, err := o.list(c)
		for _, i := range all {
			if i.Active || i.Attributes["prunable"] != "YES" || i.Attributes["to-be-pruned"] != "YES" {
				continue
			}
			if ended, err := local.LastExitTime(c.Context(), ps, pot.Name(i.Name)); *grace && err == nil && time.Since(ended) < time.Minute {
				continue
			}
			if !*dry {
				if err := local.Destroy(c.Context(), ps, pot.Name(i.Name), false, local.StartOptions{}); err != nil {
					return errors.Join(fmt.Errorf("cannot prune: %w", err), output.lines(c.OutOrStdout(), pruned))
				}
			}
			pruned = append(pruned, i.Name)
		}
		if !*quiet {
			err = errors.Join(err, output.lines(c.OutOrStdout(), pruned))
		}
		return err
	})
	return c
}
