package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/conf"
)

// makesPot annotates a command whose POT does not exist yet: its name is not completed.
const makesPot = "makes-pot"

// completeHost completes, for shells, the flags and the argument of c that name things of
// this host, and those with a fixed set of values.
func completeHost(c *cobra.Command, o *hostFlags) {
	register := func(flag string, complete cobra.CompletionFunc) {
		if f := c.Flags().Lookup(flag); f != nil && f.Annotations[ownMeaning] == nil {
			_ = c.RegisterFlagCompletionFunc(flag, complete)
		}
	}
	if c.Flags().Lookup("pot") != nil {
		c.ValidArgsFunction = func(c *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 || c.Flags().Changed("pot") || c.Annotations[makesPot] != "" {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.completePots(c, args, begin)
		}
	}
	if c.Annotations[makesPot] == "" {
		register("pot", o.completePots)
	}
	for _, flag := range []string{"of", "depends-on"} {
		register(flag, o.completePots)
	}
	if c.Name() != "create-private-bridge" {
		register("bridge", o.completeBridges)
	}
	register("flavour", completeFlavours(o))
	for flag, values := range map[string][]string{
		"network":   {"inherit", "public-bridge", "private-bridge", "alias"},
		"stack":     {"ipv4", "ipv6", "dual"},
		"dns":       {"inherit", "pot", "off", "custom:"},
		"type":      {"single"},
		"attribute": conf.AllAttributes(),
	} {
		register(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// completePots completes the names of this host's pots. It lists datasets: names of images
// and of tasks' pots are among them.
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

// completeBridges completes the names of private bridges.
func (o *hostFlags) completeBridges(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	bridges, err := ps.Bridges()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, b := range bridges {
		names = append(names, b.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeFlavours completes the names of flavours.
func completeFlavours(o *hostFlags) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		l, err := o.library()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		found, _ := l.List()
		var names []string
		for _, f := range found {
			names = append(names, f.Name)
		}
		return names, cobra.ShellCompDirectiveDefault // or a file
	}
}
