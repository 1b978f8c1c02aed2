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

// deInitCommand removes what init made (pot de-init -f -m). In pot -f only stops running
// pots: the root dataset, with all pots, is destroyed without it too. Here -f is needed for
// any pot or image, and each is destroyed by itself, so that addresses, jails and mounts go
// with it. A second call finishes what a failed one has left.
func deInitCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "de-init",
		Short: "Remove what init made, with all pots and images",
		Long: `Removes what pot init made: the anchors in pf.conf, the datasets with all they
contain, the private bridges. With -f, running pots are stopped and all pots and images
destroyed; without -f, a host with pots or images is left unchanged. A host with pots of
Nomad tasks is always left unchanged. Settings in rc.conf and loader.conf stay, and are
listed.`,
		Example:    `  pot de-init -n`,
		SuggestFor: []string{"deinit", "uninstall"},
		Args:       arguments(),
	}
	force := c.Flags().BoolP("force", "f", false, "also stop and destroy pots and images")
	minimal := c.Flags().BoolP("minimal", "m", false, "leave pf alone")
	dry := c.Flags().BoolP("dry-run", "n", false, "print what would be removed, and remove nothing")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		say, end := output.stream(c.OutOrStdout())
		err := o.deInit(c, *force, pot.SetupOptions{PF: !*minimal, DryRun: *dry, Tell: say})
		if err = errors.Join(err, end()); err != nil {
			return fmt.Errorf("cannot de-init this host: %w", err)
		}
		return nil
	})
	return c
}

// deInit destroys pots, then bridges, and then lets the host undo its setup: Teardown destroys
// the datasets by which the pots and their jails are found, and so comes last.
func (o *hostFlags) deInit(c *cobra.Command, force bool, options pot.SetupOptions) error {
	ps, conf, err := o.pots()
	if err != nil {
		return err
	}
	if !options.DryRun && os.Geteuid() != 0 {
		return hinted{errors.New("not root"), "-n prints what would be removed"}
	}
	ctx, cancel := context.WithTimeout(c.Context(), initTimeout)
	defer cancel()
	pots, err := local.List(ctx, ps)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the pots' datasets were removed already, or never made
		return err
	}
	if err := noTasks(ps); err != nil {
		return err
	}
	if len(pots) > 0 && !force {
		return hinted{fmt.Errorf("there are pots and images: %s", names(pots)), "-f destroys them too"}
	}
	if err := o.destroyAll(ctx, c, ps, pots, options); err != nil {
		return err
	}
	options.FSRoot = conf.FSRoot
	options.Group = cmp.Or(conf.Group, defaultGroup)
	if err := ps.Host().Teardown(ctx, options); !errors.Is(err, pot.ErrUnsupported) {
		return err
	}
	return nil
}

// noTasks returns an error if there are pots of Nomad tasks. Even -f destroys none: to
// Nomad such a task would have failed, and it would be placed again.
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
	return hinted{fmt.Errorf("there are pots of tasks: %s", names(tasks)), "nomad node drain and then nomad system gc destroy them"}
}

// destroyAll destroys pots, with their addresses, and then bridges. A pot that has clones
// cannot be destroyed before them: it is tried again as long as others go. ZFS refuses to
// destroy a dataset whose snapshot has a clone (zfs-destroy(8)), and names give no order.
func (o *hostFlags) destroyAll(ctx context.Context, c *cobra.Command, ps *life.Pots, pots []pot.Name, options pot.SetupOptions) error {
	for left := pots; len(left) > 0; {
		var kept []pot.Name
		var errs []error
		for _, name := range left {
			if options.DryRun {
				options.Tell("would remove pot " + string(name))
				continue
			}
			if err := local.Destroy(ctx, ps, name, true, local.StartOptions{Tell: notes(c)}); err != nil {
				kept, errs = append(kept, name), append(errs, err)
				continue
			}
			options.Tell("removed pot " + string(name))
		}
		// Nothing went: it would be the same again.
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
			options.Tell("would remove bridge " + b.Name)
			continue
		}
		if err := ps.DestroyBridge(ctx, b.Name); err != nil {
			return err
		}
		options.Tell("removed bridge " + b.Name)
	}
	return nil
}

// names lists at most five names, and the number of the others.
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
