package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/pot/potconf"
)

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

// potFlag adds -p to c. All commands about one pot take its name there or as their first
// argument, POT: some commands of pot have the one form, some the other.
func potFlag(c *cobra.Command) *string {
	return c.Flags().StringP("pot", "p", "", "`name` of the pot, instead of the argument POT")
}

// takePot sets name to the first of args, unless -p has set it, and returns the others. It
// returns an error if no name is set, or an invalid one, led by where it was typed.
func takePot(name *string, args []string) (rest []string, err error) {
	at := "-p"
	if *name == "" && len(args) > 0 {
		at, *name, args = "POT", args[0], args[1:]
	}
	switch err := pot.Name(*name).Validate(); {
	case *name == "":
		return args, errNoPot
	case err != nil:
		return args, fmt.Errorf("%s: %w", at, err)
	}
	return args, nil
}

// onlyPot is takePot for a command that has no other arguments.
func onlyPot(c *cobra.Command, name *string, args []string) error {
	rest, err := takePot(name, args)
	if len(rest) > 0 {
		return arguments()(c, rest)
	}
	return err
}

// errNoPot means that no pot is named.
var errNoPot = errors.New("-p: the name of a pot must be set")

// onPot completes c, a command about one pot, which is named with -p or as the argument.
func onPot(c *cobra.Command, do func(c *cobra.Command, o *hostFlags, name pot.Name) error) *cobra.Command {
	name := potFlag(c)
	o := addHostFlags(c)
	c.Args = cobra.ArbitraryArgs
	c.RunE = aboutPot(o, name, do)
	return c
}

// onPotOr is like onPot, but c is about a private bridge if one is named.
func onPotOr(c *cobra.Command, bridge *string, aboutBridge func(c *cobra.Command, o *hostFlags) error, do func(c *cobra.Command, o *hostFlags, name pot.Name) error) *cobra.Command {
	name := potFlag(c)
	o := addHostFlags(c)
	pots := aboutPot(o, name, do)
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case *bridge == "":
			return pots(c, args)
		case *name != "" || len(args) > 0:
			return errors.New("-B: a bridge and a pot are mutually exclusive")
		}
		return runE(func(c *cobra.Command, _ []string) error { return aboutBridge(c, o) })(c, nil)
	}
	return c
}

// aboutPot returns a RunE that checks the pot's name and calls do.
func aboutPot(o *hostFlags, name *string, do func(c *cobra.Command, o *hostFlags, name pot.Name) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := onlyPot(c, name, args); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error { return do(c, o, pot.Name(*name)) })(c, nil)
	}
}
