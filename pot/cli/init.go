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

// defaultGroup is POT_GROUP where it is not set (pot-reference 1.1).
const defaultGroup = "pot"

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
	this := addThisHost(c)
	dry := c.Flags().BoolP("dry-run", "n", false, "say what would be made, and make nothing")
	minimal := c.Flags().BoolP("minimal", "m", false, "leave pf alone")
	c.Flags().BoolP("syslogd", "s", false, "as with pot, leave syslogd alone: it always is")
	output := addOutput(c)
	c.RunE = act(func(c *cobra.Command, _ []string) error {
		say, said := output.said(c.OutOrStdout())
		host, pots, err := this.open()
		if err != nil {
			return fmt.Errorf("cannot set up this host: %w", err)
		}
		options := pot.SetupOptions{
			FSRoot: pots.System.FSRoot,
			Cache:  pots.System.Cache,
			Group:  cmp.Or(pots.System.Group, defaultGroup),
			PF:     !*minimal, DryRun: *dry,
			Tell: say,
		}
		refused := !*dry && os.Geteuid() != 0
		if refused {
			options.DryRun, options.Tell = true, func(string) {}
		}
		ctx, cancel := context.WithTimeout(c.Context(), initTimeout)
		defer cancel()
		err = host.Setup(ctx, options)
		switch {
		case errors.Is(err, pot.ErrUnsupported):
			say("a " + host.Name + " host needs no setting up")
			return said()
		case refused:
			return hinted{fmt.Errorf("cannot set up this host: not root"), "-n says what would be made"}
		}
		if err = errors.Join(err, said()); err != nil {
			return fmt.Errorf("cannot set up this host: %w", err)
		}
		return nil
	})
	return c
}
