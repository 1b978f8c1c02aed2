package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/schema"
)

// doctorTimeout bounds the checks of a host.
const doctorTimeout = time.Minute

// doctorCommand checks this host by the same function as the driver's fingerprint
// (pot.Host.Check), for a person without an agent. It fails if no pot can start here. pot
// has no such command. It changes nothing.
func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this host can run pots",
		Long: `Checks this host as the driver does. Each line begins with "has" for what works, "lacks"
for what is missing but not required, or "needs" for what is missing and keeps pots from
starting; in the last case the exit status is 1.`,
		Example:    `  pot doctor`,
		SuggestFor: []string{"check", "health"},
		Args:       arguments(),
	}
	this := addHostFlagsWith(c, "c")
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		host, _, err := this.open()
		if err != nil {
			return fmt.Errorf("cannot check this host: %w", err)
		}
		ctx, cancel := context.WithTimeout(c.Context(), doctorTimeout)
		defer cancel()
		found := host.Check(ctx)
		if err := printResults(c.OutOrStdout(), found, *output); err != nil {
			return err
		}
		if slices.ContainsFunc(found, func(f pot.CheckResult) bool { return f.Severity == pot.Fatal }) {
			return errReported
		}
		return nil
	})
	return c
}

// severities are the words for severities, in text and JSON.
var severities = map[pot.Severity]string{pot.Info: "has", pot.Degraded: "lacks", pot.Fatal: "needs"}

// printResults prints results, one to a line, or as JSON.
func printResults(w io.Writer, found []pot.CheckResult, o output) error {
	all := []schema.Check{}
	for _, f := range found {
		all = append(all, schema.Check{Severity: severities[f.Severity], Key: f.Key, Text: f.Text})
	}
	return o.print(w, all, func(w io.Writer) error {
		for _, f := range all {
			if _, err := fmt.Fprintf(w, "%-6s %-11s %s\n", f.Severity, f.Key, f.Text); err != nil {
				return err
			}
		}
		return nil
	})
}
