package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// deInitCommand undoes what init did.
func deInitCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "de-init",
		Short: "take away what init made, with all pots and images",
		Long: `Takes away what pot init made: the anchors in pf.conf, the datasets with all that is
in them, the private bridges. With -f pots that run are stopped and all are destroyed;
without it a host that has any is left as it is. Pots of tasks are Nomad's: while there is
one, nothing is done. What was set in rc.conf and loader.conf stays, and is said.`,
		Args: arguments(),
	}
	force := c.Flags().BoolP("force", "f", false, "stop pots, and take away pots and images too")
	minimal := c.Flags().BoolP("minimal", "m", false, "leave pf alone")
	dry := c.Flags().BoolP("dry-run", "n", false, "say what would be taken away, and take nothing")
	o := addOnPots(c)
	output := addOutput(c)
	c.RunE = act(func(c *cobra.Command, _ []string) error {
		say, said := output.said(c.OutOrStdout())
		err := o.deInit(c, *force, pot.SetupOptions{PF: !*minimal, DryRun: *dry, Tell: say})
		if err = errors.Join(err, said()); err != nil {
			return fmt.Errorf("cannot undo the setting up: %w", err)
		}
		return nil
	})
	return c
}

func (o *onPots) deInit(c *cobra.Command, force bool, options pot.SetupOptions) error {
	ps, conf, err := o.pots()
	if err != nil {
		return err
	}
	if !options.DryRun && os.Geteuid() != 0 {
		return hinted{errors.New("not root"), "-n says what would be taken away"}
	}
	ctx, cancel := context.WithTimeout(c.Context(), initTimeout)
	defer cancel()
	own, err := local.List(ctx, ps)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the datasets of pots have gone, or never were
		return err
	}
	if err := noTasks(ps); err != nil {
		return err
	}
	if len(own) > 0 && !force {
		return hinted{fmt.Errorf("there are pots and images: %s", names(own)), "-f takes them away too"}
	}
	if err := o.destroyAll(ctx, c, ps, own, options); err != nil {
		return err
	}
	options.FSRoot = conf.FSRoot
	options.Group = cmp.Or(conf.Group, defaultGroup)
	if err := ps.Host().Teardown(ctx, options); !errors.Is(err, pot.ErrUnsupported) {
		return err
	}
	return nil
}

// noTasks is an error while there is a pot of a task.
func noTasks(ps *life.Pots) error {
	all, err := ps.List()
	if err != nil {
		return err
	}
	var tasks []pot.Name
	for _, name := range all {
		if p, err := ps.Find(name); err != nil || !p.InPlace() {
			tasks = append(tasks, name)
		}
	}
	if len(tasks) == 0 {
		return nil
	}
	return hinted{fmt.Errorf("there are pots of tasks: %s", names(tasks)), "nomad node drain, and nomad system gc, end them"}
}

// destroyAll takes away pots, with their addresses, and bridges: clones before what they
// are of.
func (o *onPots) destroyAll(ctx context.Context, c *cobra.Command, ps *life.Pots, own []pot.Name, options pot.SetupOptions) error {
	for left := own; len(left) > 0; {
		var kept []pot.Name
		var errs []error
		for _, name := range left {
			if options.DryRun {
				options.Tell("would take away pot " + string(name))
				continue
			}
			if err := local.Destroy(ctx, ps, name, true, local.StartOptions{Tell: notes(c)}); err != nil {
				kept, errs = append(kept, name), append(errs, err)
				continue
			}
			options.Tell("took away pot " + string(name))
		}
		if len(kept) == len(left) {
			return errors.Join(errs...)
		}
		left = kept
	}
	all, err := ps.Bridges()
	if err != nil {
		return err
	}
	for _, b := range all {
		if options.DryRun {
			options.Tell("would take away bridge " + b.Name)
			continue
		}
		if err := ps.DestroyBridge(ctx, b.Name); err != nil {
			return err
		}
		options.Tell("took away bridge " + b.Name)
	}
	return nil
}

// names are as many names as fit into an error.
func names(all []pot.Name) string {
	const most = 5
	var words []string
	for i, name := range all {
		if i == most {
			return strings.Join(words, ", ") + fmt.Sprintf(" and %d more", len(all)-most)
		}
		words = append(words, string(name))
	}
	return strings.Join(words, ", ")
}
