package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/flavour"
	"nomad-driver-pot/image"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// listCommand lists pots (pot list -p -F -B -a -q; alias ls). -b and -f are missing: there
// are no bases, and file system components are only mounted, never made. pot prints the long
// form, which is -l here.
func listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List pots",
		Long: `Lists the pots of this host: what each was created from, whether it runs, its addresses, the
ports that it publishes, and its age. -a adds images and pots of Nomad tasks. The settings of
a task's pot are Nomad's: -l leaves it out.`,
		Example: `  pot list
  pot ls -q
  pot ls -a -o json`,
		Args: arguments(),
	}
	quiet := c.Flags().BoolP("quiet", "q", false, "print only names")
	long := c.Flags().BoolP("long", "l", false, "print all settings of each pot, as pot info")
	every := c.Flags().BoolP("all", "a", false, "list pots of Nomad tasks and images too")
	c.Flags().BoolP("pots", "p", true, "ignored; kept for compatibility")
	flavours := c.Flags().BoolP("flavours", "F", false, "list flavours instead")
	bridges := c.Flags().BoolP("bridges", "B", false, "list private bridges instead")
	o := addHostFlags(c)
	output := addOutput(c)
	do := runE(func(c *cobra.Command, _ []string) error {
		switch {
		case *bridges:
			return o.listBridges(c, *quiet, output)
		case *flavours:
			return o.listFlavours(c, *quiet, output)
		case *long:
			return o.listLong(c, local.Filter{Images: *every}, output)
		}
		return o.listPots(c, local.Filter{Tasks: *every, Images: *every}, *quiet, output)
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := errors.Join(exclusive(c, "bridges", "flavours", "long"), exclusive(c, "quiet", "long")); err != nil {
			return err
		}
		return do(c, args)
	}
	return c
}

// psCommand lists running pots (pot ps -q), by their jails. Unlike list it includes tasks'
// pots: it answers what runs on this host.
func psCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ps",
		Short: "List running pots",
		Long: `Lists running pots, including pots of Nomad tasks. The age is the time since a pot was
started.`,
		Example: `  pot ps
  pot ps -q`,
		Args: arguments(),
	}
	quiet := c.Flags().BoolP("quiet", "q", false, "print only names")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		return o.listPots(c, local.Filter{Tasks: true, Images: true, Running: true}, *quiet, output)
	})
	return c
}

// listPots prints a table of pots, or with quiet their names. A pot whose settings cannot be
// read is listed with a note: it must not hide from a person who looks for it.
func (o *hostFlags) listPots(c *cobra.Command, f local.Filter, quiet bool, output *output) error {
	ps, _, err := o.pots()
	var found []local.Description
	if err == nil {
		found, err = local.Describe(c.Context(), ps, f)
	}
	if err != nil {
		return fmt.Errorf("cannot list pots: %w", err)
	}
	names := []string{}
	all := []schema.Pot{}
	for _, d := range found {
		names = append(names, string(d.Name))
		all = append(all, potOf(d))
		if d.Err != nil && !quiet {
			notes(c)("pot " + string(d.Name) + ": " + text(c, d.Err, true))
		}
	}
	if quiet {
		return output.lines(c.OutOrStdout(), names)
	}
	return output.print(c.OutOrStdout(), all, func(w io.Writer) error {
		now := time.Now()
		t := newTable(w, "NAME", "IMAGE", "STATE", "ADDRESS", "PORTS", "AGE")
		for _, p := range all {
			since := p.Created
			if f.Running {
				since = p.Started
			}
			t.row(p.Name, p.Image, stateText(p), strings.Join(p.Network.Addresses, ","), rangesText(p.Ports), age(now, since))
		}
		return t.Flush()
	})
}

// potOf returns the JSON of a description.
func potOf(d local.Description) schema.Pot {
	p := schema.Pot{
		Name: string(d.Name), Image: imageOf(d), State: schema.Stopped, Task: d.Task,
		Network: networkOf(d.Network, d.Stack, d.Bridge, d.Addresses), Ports: []schema.Port{},
		Created: timeOf(d.Created), Started: timeOf(d.Started), ExitCode: d.Exit,
	}
	switch {
	case d.Running:
		p.State = schema.Running
	case d.IsImage():
		p.State = schema.Image
	}
	for _, e := range d.Ports {
		p.Ports = append(p.Ports, schema.Port{Protocol: string(e.Proto), Port: e.Port, HostPort: e.Host})
	}
	return p
}

// networkOf returns the JSON of a network, with pot's word for the host's.
func networkOf(mode pot.NetworkMode, stack pot.Stack, bridge string, addresses []string) schema.Network {
	n := schema.Network{Mode: string(mode), Stack: string(stack), Bridge: bridge, Addresses: append([]string{}, addresses...)}
	if mode == pot.HostNetwork {
		n.Mode = "inherit"
	}
	return n
}

// imageOf returns what a pot was created from, as short as a table can show it.
func imageOf(d local.Description) string {
	if ref, err := image.ParseRef(d.Ref); err == nil {
		return ref.Name + ":" + ref.Tag
	}
	return d.From
}

// timeOf returns a time in UTC, nil for the zero time.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// stateText is a pot's state in a table, with the exit code of a run that failed.
func stateText(p schema.Pot) string {
	if p.State == schema.Stopped && p.ExitCode != nil && *p.ExitCode != 0 {
		return fmt.Sprintf("%s (%d)", p.State, *p.ExitCode)
	}
	return p.State
}

// portsText lists ports as in 8080->80/tcp, or 80/tcp for a port of the host that is chosen
// when the pot is started.
func portsText(ports []schema.Port) string {
	var all []string
	for _, p := range ports {
		text := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if p.HostPort != 0 {
			text = fmt.Sprintf("%d->%s", p.HostPort, text)
		}
		all = append(all, text)
	}
	return strings.Join(all, ",")
}

// rangesText is portsText with ports that follow each other as a range, as in
// 8080-8089->80-89/tcp.
func rangesText(ports []schema.Port) string {
	var all []string
	for len(ports) > 0 {
		first, n := ports[0], 1
		for n < len(ports) && follows(first, ports[n], uint16(n)) {
			n++
		}
		last := ports[n-1]
		ports = ports[n:]
		if n == 1 {
			all = append(all, portsText([]schema.Port{first}))
			continue
		}
		text := fmt.Sprintf("%d-%d/%s", first.Port, last.Port, first.Protocol)
		if first.HostPort != 0 {
			text = fmt.Sprintf("%d-%d->%s", first.HostPort, last.HostPort, text)
		}
		all = append(all, text)
	}
	return strings.Join(all, ",")
}

// follows reports whether p is n ports after first, on the host too if it has one there.
func follows(first, p schema.Port, n uint16) bool {
	if p.Protocol != first.Protocol || p.Port != first.Port+n {
		return false
	}
	return first.HostPort == 0 && p.HostPort == 0 || first.HostPort != 0 && p.HostPort == first.HostPort+n
}

// listLong prints all settings of pots, in pot's own format.
func (o *hostFlags) listLong(c *cobra.Command, f local.Filter, output *output) error {
	all, err := o.list(c, f)
	if err != nil {
		return fmt.Errorf("cannot list pots: %w", err)
	}
	return output.print(c.OutOrStdout(), all, func(w io.Writer) error {
		for _, i := range all {
			if err := infoText(w, i, false); err != nil {
				return err
			}
		}
		return nil
	})
}

// list returns the settings of the pots and images that f selects, none of them a task's. A
// pot whose settings cannot be read is skipped with a note.
func (o *hostFlags) list(c *cobra.Command, f local.Filter) ([]*schema.PotInfo, error) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, err
	}
	found, err := local.Describe(c.Context(), ps, f)
	all := []*schema.PotInfo{}
	for _, d := range found {
		i, err := o.infoOf(c.Context(), ps, d)
		if err != nil {
			if _, gone := ps.Host().Datasets.Dir(c.Context(), string(d.Name)); errors.Is(gone, fs.ErrNotExist) {
				continue // destroyed meanwhile
			}
			notes(c)(text(c, err, true))
			continue
		}
		all = append(all, i)
	}
	return all, err
}

// listFlavours prints the names of flavours (pot list -F).
func (o *hostFlags) listFlavours(c *cobra.Command, quiet bool, output *output) error {
	l, err := o.library()
	var found []flavour.Found
	if err == nil {
		found, err = l.List()
	}
	if err != nil {
		return fmt.Errorf("cannot list flavours: %w", err)
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Name)
	}
	if quiet || *output != "json" {
		return output.lines(c.OutOrStdout(), names)
	}
	return output.print(c.OutOrStdout(), flavoursOf(found), nil)
}

// flavoursOf returns the JSON of flavours.
func flavoursOf(found []flavour.Found) []schema.Flavour {
	all := []schema.Flavour{}
	for _, f := range found {
		all = append(all, schema.Flavour(f))
	}
	return all
}
