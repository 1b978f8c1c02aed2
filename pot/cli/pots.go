package cli

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/pot/potconf"
)

// Environment variables with the defaults of flags, so that commands can be typed as pot's
// are.
const (
	configVariable = "POT_CONFIG"
	dirVariable    = "POT_DIR"

	supervisorVariable = "POT_SUPERVISOR"
)

// hostFlags are the flags that all commands about pots have: the host's configuration.
type hostFlags struct {
	confFlags
}

// addHostFlags adds hostFlags to c. They have no letters: pot uses those for other flags.
// Add it after the command's own flags: it leaves out -v if the command has one, and
// completes -p only if that exists.
func addHostFlags(c *cobra.Command) *hostFlags {
	o := &hostFlags{newConfFlags()}
	f := c.Flags()
	f.StringVar(&o.file, "config", cmp.Or(os.Getenv(configVariable), o.paths.PotConfig), "pot's configuration `file`; also $"+configVariable)
	f.StringVar(&o.root, "zfs-root", "", "root `dataset` of all others, instead of POT_ZFS_ROOT")
	f.StringVar(&o.dir, "dir", cmp.Or(os.Getenv(dirVariable), o.paths.Dir), "`directory` of the driver's state; also $"+dirVariable)
	f.StringVar(&o.supervisor, "supervisor", os.Getenv(supervisorVariable), "`path` of pot-supervisor, if not beside this program; also $"+supervisorVariable)
	if f.Lookup("verbose") == nil && f.ShorthandLookup("v") == nil {
		f.BoolP("verbose", "v", false, "ignored; kept for compatibility")
	}
	if f.Lookup("pot") != nil {
		_ = c.RegisterFlagCompletionFunc("pot", o.completePots)
	}
	return o
}

// completePots completes the names of this host's pots for shells. It lists datasets: names
// of images and of tasks' pots are among them.
func (o *hostFlags) completePots(c *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	host, _, err := o.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := host.Images.List(cmp.Or(c.Context(), context.Background()), begin)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// pots opens this host's pots. The driver's are among them: all records are in one
// directory. Without a POT_DNS_IP the default one is reserved, as potnet reserves it: pots
// with -d pot have it in their resolv.conf, so no pot may be allocated it.
func (o *hostFlags) pots() (*life.Pots, potconf.SystemConf, error) {
	host, c, err := o.open()
	if err != nil {
		return nil, c.System, err
	}
	if c.System.DNS == "" {
		c.Reserved = []netip.Addr{netip.MustParseAddr(local.DefaultDNS)}
	}
	return life.Open(host, c), c.System, nil
}

// settings opens the settings of a pot. It returns local.ErrTaskPot for a pot of a Nomad
// task.
func (o *hostFlags) settings(ctx context.Context, name string) (*local.Pot, error) {
	host, _, err := o.open()
	if err != nil {
		return nil, err
	}
	return local.Open(ctx, host, pot.Name(name))
}

// zfsRoot returns the root dataset of all others.
func (o *hostFlags) zfsRoot() (string, error) {
	_, c, err := o.configure()
	return c.System.ZFSRoot, err
}

// potFlag adds -p to c, which the command must check with checkPotName. A command made by
// onPot takes the name as its argument too, as pot start and pot term do.
func potFlag(c *cobra.Command) *string {
	return c.Flags().StringP("pot", "p", "", "`name` of the pot")
}

// errNoPot means that -p is missing.
var errNoPot = errors.New("-p: the name of a pot must be set")

// checkPotName returns an error if -p is missing or invalid.
func checkPotName(name string) error {
	if name == "" {
		return errNoPot
	}
	if err := pot.Name(name).Validate(); err != nil {
		return errors.New("-p: " + err.Error())
	}
	return nil
}
