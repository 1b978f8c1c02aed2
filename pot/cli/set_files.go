package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/pot/tree"
	"nomad-driver-pot/schema"
)

// copyInCommand copies into a pot (pot copy-in -p -s -d -c -F). pot mounts the source in
// the pot and runs the pot's own cp(1) in a jail; here this process copies, beneath the
// pot's tree, so that no program of an image is run and nothing is left in its /tmp. A copy
// that fails half way stays half made.
func copyInCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "copy-in POT -s SOURCE -d DESTINATION",
		Short: "Copy a file or a directory into a pot",
		Long: `Copies a file or a directory of this host into a pot, with owners and modes. If the
destination is a directory, the copy is made in it. Links in the pot are not followed out
of the pot.`,
		Example:    `  pot copy-in web -s index.html -d /usr/local/www`,
		SuggestFor: []string{"cp", "copy"},
	}
	f := c.Flags()
	source := f.StringP("source", "s", "", "`file` or directory of this host")
	target := f.StringP("destination", "d", "", "`path` in the pot, absolute")
	parents := f.BoolP("create", "c", false, "create missing parent directories of the destination")
	force := f.BoolP("force", "F", false, "copy even if the pot is running")
	return setter(c, func(*hostFlags) ([]local.Change, error) {
		from, err := absolute(*source)
		return []local.Change{local.CopyIn{Copy: tree.Copy{Source: from, Target: *target}, Parents: *parents, Running: *force}}, err
	})
}

// copyOutCommand copies out of a pot (pot copy-out -p -s -d -F). The set-uid bits are
// dropped because the pot's root, which is not trusted, chose the file: on the host it
// would be a way to become root.
func copyOutCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "copy-out POT -s SOURCE -d DIRECTORY",
		Short: "Copy a file or a directory out of a pot",
		Long: `Copies a file or a directory of a pot into a directory of this host, with owners and
modes, but without set-uid bits. Links in the pot are not followed out of the pot.`,
		Example:    `  pot copy-out web -s /var/log/nginx -d .`,
		SuggestFor: []string{"cp", "copy"},
	}
	f := c.Flags()
	source := f.StringP("source", "s", "", "`path` in the pot, absolute")
	dir := f.StringP("destination", "d", "", "`directory` of this host")
	force := f.BoolP("force", "F", false, "copy even if the pot is running")
	return setter(c, func(*hostFlags) ([]local.Change, error) {
		to, err := absolute(*dir)
		return []local.Change{local.CopyOut{Source: *source, Dir: to, Running: *force}}, err
	})
}

// mountInCommand adds a mount (pot mount-in -p -m -d -f -z -r -w). pot changes a running
// pot at once; here it must be stopped. pot resolves the mount point with the image's own
// realpath(1), run as the host's root; here no program of an image is run.
func mountInCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "mount-in POT -m MOUNTPOINT {-d DIRECTORY | -f FSCOMP | -z DATASET}",
		Short: "Add a mount to a pot",
		Long: `Adds a mount to a pot: a directory or a dataset of this host is mounted in it whenever the
pot runs. The mount point is created if it does not exist.`,
		Example:    `  pot mount-in web -d /srv/www -m /usr/local/www -r`,
		SuggestFor: []string{"mount", "volume"},
	}
	f := c.Flags()
	dir := f.StringP("directory", "d", "", "`directory` of this host")
	component := f.StringP("fscomp", "f", "", "`name` of a file system component (fscomp)")
	dataset := f.StringP("dataset", "z", "", "ZFS `dataset`")
	target := f.StringP("mountpoint", "m", "", "`path` in the pot, absolute")
	readOnly := f.BoolP("read-only", "r", false, "mount it read-only")
	remount := f.BoolP("remount", "w", false, "move the dataset's own mount point into the pot; not with -d")
	return setter(c, func(o *hostFlags) ([]local.Change, error) {
		m := local.MountIn{Dataset: *dataset, Target: *target, ReadOnly: *readOnly, Remount: *remount}
		var errs []error
		var err error
		if m.Dir, err = absolute(*dir); err != nil {
			errs = append(errs, err)
		}
		if *component != "" && *dataset != "" {
			errs = append(errs, errors.New("-f and -z are mutually exclusive"))
			// FSCOMP is a name below fscomp of the root dataset, as pot create-fscomp makes it.
		} else if *component != "" {
			root, err := o.zfsRoot()
			if err == nil {
				m.Dataset, err = local.FSComponent(root, *component)
			}
			errs = append(errs, err)
		}
		return []local.Change{m}, errors.Join(errs...)
	})
}

// mountOutCommand removes a mount (pot mount-out -p -m) of a stopped pot. The directory
// that was the mount point stays.
func mountOutCommand() *cobra.Command {
	c := &cobra.Command{
		Use:        "mount-out POT -m MOUNTPOINT",
		Short:      "Remove a mount from a pot",
		Example:    `  pot mount-out web -m /usr/local/www`,
		SuggestFor: []string{"umount", "unmount"},
	}
	target := c.Flags().StringP("mountpoint", "m", "", "`path` in the pot, absolute")
	return setter(c, func(*hostFlags) ([]local.Change, error) { return []local.Change{local.MountOut{Target: *target}}, nil })
}

// getAttributeCommand shows an attribute (pot get-attribute -p -A -q) as pot.conf has it.
// An attribute that is not set prints a sentence in place of its default, as in pot; info
// shows the default.
func getAttributeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "get-attribute POT -A ATTRIBUTE",
		Short:   "Show an attribute of a pot",
		Example: `  pot get-attribute web -A persistent`,
		Args:    cobra.ArbitraryArgs,
	}
	name := potFlag(c)
	attribute := c.Flags().StringP("attribute", "A", "", "`name` of the attribute")
	quiet := c.Flags().BoolP("quiet", "q", false, "print only the value")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		err := onlyPot(c, name, args)
		if *attribute == "" {
			err = errors.Join(err, errors.New("-A: an attribute must be set"))
		}
		if err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			s, err := o.settings(c.Context(), *name)
			value := ""
			if err == nil {
				value, err = s.Attribute(*attribute)
			}
			if err != nil {
				return fmt.Errorf("cannot show the attribute: %w", err)
			}
			text := *attribute + ": " + value
			switch {
			case *quiet:
				text = value
			case value == "":
				text = "The attribute " + *attribute + " is not set for the pot " + *name
			}
			return output.line(c.OutOrStdout(), schema.Attribute{Name: *name, Attribute: *attribute, Value: value}, text)
		})(c, nil)
	}
	return c
}

// attributeLines returns the names of all attributes in lines, for help.
func attributeLines() string {
	var b strings.Builder
	line := "   "
	for _, name := range conf.AllAttributes() {
		if len(line)+1+len(name) > 80 {
			b.WriteString(line + "\n")
			line = "   "
		}
		line += " " + name
	}
	b.WriteString(line)
	return b.String()
}
