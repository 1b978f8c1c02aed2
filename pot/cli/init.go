package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
)

// initTimeout bounds the setting up of a host.
const initTimeout = 5 * time.Minute

// Where pot has things when its configuration does not say (pot-reference 1.1).
const (
	defaultGroup  = "pot"
	defaultFSRoot = "/opt/pot"
	defaultCache  = "/var/cache/pot"
)

// initCommand sets this host up.
func initCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "init",
		Short: "set this host up for pots",
		Long: `Makes what this host lacks for pots: settings in loader.conf and rc.conf, anchors
in pf.conf, the group and the datasets. What is there already is left alone, and
a file that is changed is kept beside itself, with .before-pot behind its name.
Anchors go before the first translation or filter rule of pf.conf, and only if pfctl -n
accepts the result.`,
		Args: arguments(),
	}
	this := addConfFlags(c)
	dry := c.Flags().BoolP("dry-run", "n", false, "say what would be made, and make nothing")
	minimal := c.Flags().BoolP("minimal", "m", false, "leave pf alone")
	c.Flags().BoolP("syslogd", "s", false, "as with pot, leave syslogd alone: it always is")
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		say, said := output.said(c.OutOrStdout())
		host, conf, err := this.open(besideThis("pot-supervisor"))
		if err != nil {
			return fmt.Errorf("cannot set up this host: %w", err)
		}
		if host.Setup == nil {
			say("a " + host.Name + " host needs no setting up")
			return said()
		}
		if !*dry && os.Geteuid() != 0 {
			return hinted{fmt.Errorf("cannot set up this host: not root"), "-n says what would be made"}
		}
		ctx, cancel := context.WithTimeout(c.Context(), initTimeout)
		defer cancel()
		err = host.Setup(ctx, pot.SetupOptions{
			FSRoot: cmp.Or(conf.FSRoot, defaultFSRoot),
			Cache:  cmp.Or(conf.Cache, defaultCache),
			Group:  cmp.Or(conf.Group, defaultGroup),
			PF:     !*minimal, DryRun: *dry,
			Tell: say,
		})
		if err = errors.Join(err, said()); err != nil {
			return fmt.Errorf("cannot set up this host: %w", err)
		}
		return nil
	})
	return c
}
