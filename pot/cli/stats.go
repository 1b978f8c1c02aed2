package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// lastRunStatsCommand shows how the last run ended (pot last-run-stats -p).
// nomad-pot-driver parses the text, so it is pot's down to the blanks.
func lastRunStatsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "last-run-stats POT",
		Short: "Show the exit code of a pot's last run",
		Long: `Prints the exit code of the last run of a pot's command as JSON in pot's own form, or {} if
the command has never ended. -o json prints it in the form of the other commands.`,
		Example: `  pot last-run-stats web`,
	}
	output := addOutput(c)
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		ps, _, err := o.pots()
		if err != nil {
			return fmt.Errorf("cannot show the last run: %w", err)
		}
		// A pot that does not exist is an error, and no {}.
		if _, err := local.Open(c.Context(), ps.Host(), name); err != nil {
			return fmt.Errorf("cannot show the last run: %w", err)
		}
		code, err := local.LastExitCode(c.Context(), ps, name)
		text, last := fmt.Sprintf(`{ "ExitCode": %d }`, code), schema.LastRun{Name: string(name), ExitCode: &code}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			text, last.ExitCode = "{}", nil
		case err != nil:
			return fmt.Errorf("cannot show the last run: %w", err)
		}
		return output.print(c.OutOrStdout(), last, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, text)
			return err
		})
	})
}

// rssUsage is a pot's resource usage in the form of pot get-rss -J, which drivers read.
// TotalTicks stays 0: pot multiplies the clock rate by the CPU percentage there
// (share/pot/get-rss.sh), which is a frequency.
type rssUsage struct {
	ResourceUsage struct {
		MemoryStats struct{ RSS, Swap int64 }
		CpuStats    struct{ TotalTicks, Percent float64 } //nolint:revive // pot's spelling
	}
}

// getRSSCommand shows what a pot uses now (pot get-rss -p -J): bytes, and percent of one
// core. pot needs rctl(8) for it, and so kern.racct.enable; here the host chooses the
// source (pot.Limits). Tasks' pots are allowed.
func getRSSCommand() *cobra.Command {
	c := &cobra.Command{
		Use:        "get-rss POT",
		Short:      "Show the resource usage of a running pot",
		Example:    `  pot get-rss web`,
		SuggestFor: []string{"stats"},
	}
	asJSON := c.Flags().BoolP("json", "J", false, "print JSON in pot's own form")
	output := addOutput(c)
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		p, err := o.running(c.Context(), name)
		if err != nil {
			return fmt.Errorf("cannot show the usage of the pot: %w", err)
		}
		u, err := p.Usage(c.Context())
		if err != nil {
			return fmt.Errorf("cannot show the usage of the pot: %w", err)
		}
		if *asJSON {
			var r rssUsage
			r.ResourceUsage.MemoryStats.RSS, r.ResourceUsage.MemoryStats.Swap = u.MemoryBytes, u.SwapBytes
			r.ResourceUsage.CpuStats.Percent = u.CPUPercent
			return json.NewEncoder(c.OutOrStdout()).Encode(r)
		}
		return output.print(c.OutOrStdout(), usageOf(name, u), func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "Resource usage by the pot %s\n\tcpu time        : %s\n\tpcpu (%%)        : %g\n"+
				"\tphysical memory : %d\n\tswap memory     : %d\n\tprocesses       : %d\n",
				name, u.CPUUser+u.CPUSystem, u.CPUPercent, u.MemoryBytes, u.SwapBytes, u.Procs)
			return err
		})
	})
}

// topCommand shows a pot's processes (pot top -p) by FreeBSD's top(1), whose -J selects a
// jail. Linux's has no such option, and there the command is refused.
func topCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "top POT",
		Short:   "Show the processes of a running pot with top(1)",
		Example: `  pot top web`,
	}
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		ps, _, err := o.pots()
		if err == nil && ps.Host().Name != "freebsd" {
			err = fmt.Errorf("on a %s host: %w", ps.Host().Name, pot.ErrUnsupported)
		}
		if err == nil {
			_, err = o.running(c.Context(), name)
		}
		if err == nil {
			top := exec.CommandContext(c.Context(), "top", "-J", string(name))
			top.Stdin, top.Stdout, top.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			err = top.Run()
		}
		if err != nil {
			return fmt.Errorf("cannot show the processes: %w", err)
		}
		return nil
	})
}

// vnetStartCommand does nothing (pot vnet-start -B). pot start calls it in pot, and so may
// scripts, to create the bridge and load pf's rules.
func vnetStartCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "vnet-start [-B BRIDGE]",
		Short: "Ignored; kept for compatibility",
		Long: `Does nothing. A bridge, and its way out of the host, is created when the first pot that
needs it is started, and destroyed with the last one. pot doctor checks whether the host
can do that.`,
		Hidden: true,
		Args:   arguments(),
	}
	bridge := c.Flags().StringP("bridge", "B", "", "`name` of a private bridge")
	addHostFlags(c)
	c.RunE = func(*cobra.Command, []string) error {
		if *bridge == "" {
			return nil
		}
		if err := pot.ValidateBridge(*bridge); err != nil {
			return fmt.Errorf("-B: %w", err)
		}
		return nil
	}
	return c
}

// showCommand shows what running pots use (pot show -p -r -a). pot also prints disk usage
// and published ports; here the numbers are the same as in the driver's statistics, from
// pot.Limits.
func showCommand() *cobra.Command {
	c := &cobra.Command{
		Use:        "show [POT]",
		Short:      "Show the resource usage of running pots",
		Example:    `  pot show`,
		SuggestFor: []string{"stats", "df"},
		Args:       cobra.ArbitraryArgs,
	}
	only := potFlag(c)
	c.Flags().BoolP("running", "r", false, "ignored; kept for compatibility")
	c.Flags().BoolP("all", "a", false, "ignored; kept for compatibility")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := exclusive(c, "pot", "running", "all"); err != nil {
			return err
		}
		if *only != "" || len(args) > 0 {
			if err := onlyPot(c, only, args); err != nil {
				return err
			}
		}
		return runE(func(c *cobra.Command, _ []string) error { return o.show(c, pot.Name(*only), output) })(c, nil)
	}
	return c
}

// show prints the usage of all running pots, or of one.
func (o *hostFlags) show(c *cobra.Command, only pot.Name, output *output) error {
	all, err := o.usages(c.Context(), only)
	if err != nil {
		return fmt.Errorf("cannot show the usage of pots: %w", err)
	}
	return output.print(c.OutOrStdout(), all, func(w io.Writer) error {
		for _, u := range all {
			if _, err := fmt.Fprintf(w, "pot %s\n\tresident memory : %d bytes\n\tprocesses : %d\n\tcpu time : %.2f s\n", u.Name, u.MemoryBytes, u.ProcessCount, u.CPUSeconds); err != nil {
				return err
			}
		}
		return nil
	})
}

// usageOf returns the JSON of what a pot uses.
func usageOf(name pot.Name, u pot.Usage) schema.Usage {
	return schema.Usage{
		Name: string(name), MemoryBytes: u.MemoryBytes, SwapBytes: u.SwapBytes, ProcessCount: u.Procs,
		CPUSeconds: (u.CPUUser + u.CPUSystem).Seconds(), CPUPercent: u.CPUPercent,
	}
}

// usages returns the usage of all running pots, or of one.
func (o *hostFlags) usages(ctx context.Context, only pot.Name) ([]schema.Usage, error) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, err
	}
	names, err := ps.Running(ctx)
	all := []schema.Usage{}
	for _, name := range names {
		if only != "" && name != only {
			continue
		}
		u, err := ps.UsageOf(ctx, name)
		if _, ended := ps.FindJail(ctx, name); err != nil && errors.Is(ended, fs.ErrNotExist) {
			continue // since names was read
		}
		if err != nil {
			return nil, err
		}
		all = append(all, usageOf(name, u))
	}
	if err == nil && only != "" && len(all) == 0 {
		_, err = o.running(ctx, only)
	}
	return all, err
}
