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

// initTimeout bounds the setup of a host.
const initTimeout = 5 * time.Minute

// defaultGroup is POT_GROUP where it is not set (etc/pot/pot.default.conf).
const defaultGroup = "pot"

// initCommand sets this host up (pot init -m -s). pot also changes syslogd_flags and, with
// -p, any pf file; it puts its anchors at the top of the file, where pfctl(8) refuses the
// file if options follow (pf.conf(5), require-order). Here pf's parser checks the result
// first. It may be repeated: a second call makes what a failed one has not.
func initCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "init",
		Short: "Set up this host for pots",
		Long: `Sets up this host for pots: settings in loader.conf and rc.conf, anchors in pf.conf, the
group and the datasets. Whatever exists is left unchanged. Before a file is changed, a
copy of it is kept beside it, with the suffix .before-pot. Anchors are inserted before the
first translation or filter rule of pf.conf, and only if pfctl -n accepts the result.`,
		Example: `  pot init -n
  pot init`,
		SuggestFor: []string{"setup", "install"},
		Args:       arguments(),
	}
	this := addHostFlagsWith(c, "c")
	dry := c.Flags().BoolP("dry-run", "n", false, "print what would be made, and make nothing")
	minimal := c.Flags().BoolP("minimal", "m", false, "leave pf alone")
	c.Flags().BoolP("syslogd", "s", false, "ignored; kept for compatibility: syslogd is never changed")
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		say, end := output.stream(c.OutOrStdout())
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
		// Without root a dry run is made all the same: on a host that needs no setup the
		// command succeeds.
		refused := !*dry && os.Geteuid() != 0
		if refused {
			options.DryRun, options.Tell = true, func(string) {}
		}
		ctx, cancel := context.WithTimeout(c.Context(), initTimeout)
		defer cancel()
		err = host.Setup(ctx, options)
		switch {
		case errors.Is(err, pot.ErrUnsupported):
			say("a " + host.Name + " host needs no setup")
			return end()
		case refused:
			return hinted{fmt.Errorf("cannot set up this host: not root"), "-n prints what would be made"}
		}
		if err = errors.Join(err, end()); err != nil {
			return fmt.Errorf("cannot set up this host: %w", err)
		}
		return nil
	})
	return c
}
