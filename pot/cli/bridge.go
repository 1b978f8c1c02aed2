package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/network"
	"nomad-driver-pot/schema"
)

// createPrivateBridgeCommand creates the file of a private bridge, which pot reads too
// (create-private-bridge -B -S). Unlike potnet new-net, whose size includes the gateway, -S
// is the number of pots.
func createPrivateBridgeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "create-private-bridge -B NAME -S SIZE",
		Short: "Create a private bridge",
		Long: `Reserves the first free part of the pots' network for a private bridge, and prints
that network. pot create -N private-bridge -B NAME puts a pot on the bridge, and so does
network_mode "private-bridge" in a job's task. The size is the number of pots; the
gateway's address is added to it. The interface is created with the first pot.`,
		Example: `  pot create-private-bridge -B db -S 5`,
		Args:    arguments(),
	}
	name := c.Flags().StringP("bridge", "B", "", "`name` of the bridge")
	size := c.Flags().IntP("size", "S", 0, "number of `pots`")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var errs []error
		if err := pot.ValidateBridge(*name); err != nil {
			errs = append(errs, fmt.Errorf("-B: %w", err))
		}
		// The bounds depend on the network: CreateBridge has them.
		if *size == 0 {
			errs = append(errs, errors.New("-S: the number of pots must be set"))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			ps, _, err := o.pots()
			var made network.Bridge
			if err == nil {
				made, err = ps.CreateBridge(c.Context(), *name, *size)
			}
			if err != nil {
				return fmt.Errorf("cannot create the bridge: %w", err)
			}
			return output.print(c.OutOrStdout(), bridgeOf(made), func(w io.Writer) error { return printBridge(w, made) })
		})(c, nil)
	}
	return c
}

// printBridge prints a bridge in the form of pot's own bridge files. They are shell
// variables (POT_FS_ROOT/bridges/NAME), so that a script can read this output too.
func printBridge(w io.Writer, b network.Bridge) error {
	_, err := fmt.Fprintf(w, "name=%s\nnet=%s\ngateway=%s\n", b.Name, b.Prefix, b.Gateway)
	return err
}

// bridgeOf returns the JSON of a bridge.
func bridgeOf(b network.Bridge) schema.Bridge {
	return schema.Bridge{Name: b.Name, Prefix: b.Prefix.String(), Gateway: b.Gateway.String()}
}

// listBridges prints the private bridges (pot list -B), without the word before each name
// if quiet.
func (o *hostFlags) listBridges(c *cobra.Command, quiet bool, output *output) error {
	ps, _, err := o.pots()
	var found []network.Bridge
	if err == nil {
		found, err = ps.Bridges()
	}
	if err != nil {
		return fmt.Errorf("cannot list bridges: %w", err)
	}
	all := []schema.Bridge{}
	for _, b := range found {
		all = append(all, bridgeOf(b))
	}
	return output.print(c.OutOrStdout(), all, func(w io.Writer) error {
		for _, b := range all {
			if !quiet {
				fmt.Fprint(w, "bridge: ")
			}
			fmt.Fprintln(w, b.Name)
		}
		return nil
	})
}

// infoBridge prints a private bridge (pot info -B). pot prints the addresses of its pots as
// well, by potnet show. With quiet the exit status alone reports whether the bridge exists.
func (o *hostFlags) infoBridge(c *cobra.Command, name string, quiet bool, output *output) error {
	ps, _, err := o.pots()
	var all []network.Bridge
	if err == nil {
		all, err = ps.Bridges()
	}
	if err != nil {
		return fmt.Errorf("cannot show the bridge: %w", err)
	}
	at := slices.IndexFunc(all, func(b network.Bridge) bool { return b.Name == name })
	switch {
	case at < 0 && quiet:
		return exitStatus{errReported, 1}
	case at < 0:
		return fmt.Errorf("cannot show the bridge: no such bridge: %s", name)
	case quiet:
		return nil
	}
	return output.print(c.OutOrStdout(), bridgeOf(all[at]), func(w io.Writer) error { return printBridge(w, all[at]) })
}

// destroyBridge removes the file of a private bridge (pot destroy -B), unless a pot or an
// image is configured for the bridge. The interface, if it exists, goes with its last pot.
func (o *hostFlags) destroyBridge(c *cobra.Command, name string) error {
	ps, _, err := o.pots()
	if err == nil {
		err = ps.DestroyBridge(c.Context(), name)
	}
	if err != nil {
		return fmt.Errorf("cannot destroy the bridge: %w", err)
	}
	return nil
}
