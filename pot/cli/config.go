package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"nomad-driver-pot/schema"
)

// configItem is an item of pot's configuration, with its name in pot config -g.
type configItem struct {
	schema.ConfigItem
	Label string // the name that pot prints without -q
}

// configItems are the names of items, in pot's order.
var configItems = strings.Fields("fs_root zfs_root gateway syslogd pot_prefix fscomp_prefix network_stack")

// configCommand shows an item of the configuration (pot config -g, -q). It is what pot
// would use, by the same files and defaults; syslogd is the value for rc.conf that pot init
// would write, which this program's init does not.
func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config -g NAME",
		Short: "Show an item of pot's configuration",
		Long: `Prints the value, set or default, of an item of pot's configuration on this host:
` + strings.Join(configItems, ", ") + ".",
		Example: `  pot config -g fs_root -q`,
		Args:    arguments(),
	}
	name := c.Flags().StringP("get", "g", "", "`name` of the item")
	quiet := c.Flags().BoolP("quiet", "q", false, "print only the value")
	_ = c.RegisterFlagCompletionFunc("get", cobra.FixedCompletions(configItems, cobra.ShellCompDirectiveNoFileComp))
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if !slices.Contains(configItems, *name) {
			return fmt.Errorf("-g: must be one of %s, not %q", strings.Join(configItems, ", "), *name)
		}
		return runE(func(c *cobra.Command, _ []string) error {
			s, err := o.configItem(*name)
			if err != nil {
				return fmt.Errorf("cannot show %s: %w", *name, err)
			}
			return output.print(c.OutOrStdout(), s.ConfigItem, func(w io.Writer) error {
				if *quiet {
					_, err = fmt.Fprintln(w, s.Value)
				} else {
					_, err = fmt.Fprintf(w, "%s = %s\n", s.Label, s.Value)
				}
				return err
			})
		})(c, args)
	}
	return c
}

// configItem returns the item of that name, which must be one of configItems. Labels are
// pot's (share/pot/config.sh), for scripts that parse the line.
func (o *hostFlags) configItem(name string) (configItem, error) {
	_, c, err := o.configure()
	if err != nil {
		return configItem{}, err
	}
	network, conf := c.Network, c.System
	s := configItem{schema.ConfigItem{Name: name}, strings.ReplaceAll(name, "_prefix", " prefix")}
	switch name {
	case "fs_root":
		s.Value = conf.FSRoot
	case "zfs_root":
		s.Value = conf.ZFSRoot
	case "gateway":
		s.Value = network.Gateway.String()
	case "syslogd":
		s.Label, s.Value = "syslogd flags", fmt.Sprintf("-b 127.0.0.1 -b %s -a %s", network.Gateway, network.Prefix)
	case "pot_prefix":
		s.Value = filepath.Join(conf.FSRoot, "jails")
	case "fscomp_prefix":
		s.Value = filepath.Join(conf.FSRoot, "fscomp")
	case "network_stack":
		s.Label, s.Value = "network stack", string(conf.NetworkStack())
	}
	return s, nil
}
