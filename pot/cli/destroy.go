package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// destroyCommand destroys a pot or a bridge (pot destroy -p -B -F). -r destroys the pots
// above a base in pot; here a pot with clones is always refused. pot removes the directory
// by rm -rf afterwards, and so the files of whatever is still mounted below; here nothing but
// ZFS destroys. A failed call can be repeated.
func destroyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "destroy POT | -B BRIDGE",
		Short: "Destroy a pot with everything in it, or a private bridge",
		Long: `Destroys a pot with its tree, its settings and its snapshots. A running pot is refused
unless -F is given, which stops it. A pot with clones is refused, and so is a private
bridge that a pot uses.`,
		Example: `  pot destroy web
  pot rm -F web
  pot destroy -B lan`,
		Aliases:    []string{"rm"},
		SuggestFor: []string{"delete", "remove", "erase"},
	}
	bridge := c.Flags().StringP("bridge", "B", "", "`name` of a private bridge, instead of a pot")
	stop := c.Flags().BoolP("force", "F", false, "stop the pot if it is running")
	c.Flags().BoolP("recursive", "r", false, "ignored; kept for compatibility")
	c.Flags().BoolP("quiet", "q", false, "ignored; kept for compatibility")
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

// renameCommand renames a pot (pot rename -p -n), which gets a new hostname only if the old
// one was its name. If it fails after the dataset was renamed, dependencies of other pots
// may still have the old name.
func renameCommand() *cobra.Command {
	c := &cobra.Command{
		Use:        "rename POT NAME",
		Short:      "Rename a pot",
		Long:       `Renames a stopped pot, also in the dependencies of other pots.`,
		Example:    `  pot rename web shop`,
		SuggestFor: []string{"mv", "move"},
	}
	to := c.Flags().StringP("new", "n", "", "the new `name`, instead of the argument NAME")
	name := potFlag(c)
	o := addHostFlags(c)
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		rest, err := takePot(name, args)
		at := "-n"
		if *to == "" && len(rest) > 0 {
			at, *to, rest = "NAME", rest[0], rest[1:]
		}
		if len(rest) > 0 {
			return arguments()(c, rest)
		}
		if invalid := pot.Name(*to).Validate(); invalid != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", at, invalid))
		}
		if err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			ps, _, err := o.pots()
			if err == nil {
				err = local.Rename(c.Context(), ps, pot.Name(*name), pot.Name(*to))
			}
			if err != nil {
				return running("rename the pot", pot.Name(*name), err)
			}
			return nil
		})(c, nil)
	}
	return c
}

// pruneCommand destroys pots that have run (pot prune -q -g -n). A start marks a prunable
// pot with to-be-pruned, so that a pot that is still being prepared is kept. It stops at
// the first pot that it cannot destroy, and prints those destroyed before.
func pruneCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "prune",
		Short: "Destroy prunable pots that have run",
		Long: `Destroys pots that have the attribute prunable, have been started, and are not running
now, and prints their names.`,
		Example:    `  pot prune -n`,
		SuggestFor: []string{"clean", "gc"},
		Args:       arguments(),
	}
	dry := c.Flags().BoolP("dry-run", "n", false, "print the names, and destroy nothing")
	quiet := c.Flags().BoolP("quiet", "q", false, "print nothing")
	grace := c.Flags().BoolP("grace", "g", false, "keep pots whose command ended within the last minute")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		ps, _, err := o.pots()
		if err != nil {
			return fmt.Errorf("cannot prune pots: %w", err)
		}
		var pruned []string
		all, problem := o.list(c, local.Filter{Images: true})
		for _, i := range all {
			if i.State == schema.Running || i.Attributes["prunable"] != "YES" || i.Attributes["to-be-pruned"] != "YES" {
				continue
			}
			if ended, err := local.LastExitTime(c.Context(), ps, pot.Name(i.Name)); *grace && err == nil && time.Since(ended) < time.Minute {
				continue
			}
			// Without force: a pot that was started since the listing stays.
			if !*dry {
				if err := local.Destroy(c.Context(), ps, pot.Name(i.Name), false, local.StartOptions{}); err != nil {
					problem = fmt.Errorf("cannot prune pots: %w", err)
					break
				}
			}
			pruned = append(pruned, i.Name)
		}
		if !*quiet {
			problem = errors.Join(problem, output.lines(c.OutOrStdout(), pruned))
		}
		return problem
	})
	return c
}
