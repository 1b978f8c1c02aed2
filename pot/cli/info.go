package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
)

// infoCommand shows a pot (pot info -p -B -q -r -E -s -v). -q and -r answer by the exit
// status alone. It reads datasets and so needs the rights for that; it changes nothing.
func infoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "info POT | -B BRIDGE",
		Short: "Show a pot's settings, or a private bridge",
		Long: `Shows a pot's settings and network, and whether it runs; -v adds its datasets, snapshots
and limits. With -E the output is for a shell: eval "$(pot info -E -p POT)" sets the
variables of hooks, such as _POT_NAME and _POT_IP.`,
		Example: `  pot info web
  pot info -v -p web
  pot info -B lan`,
		SuggestFor: []string{"inspect", "describe", "status"},
	}
	bridge := c.Flags().StringP("bridge", "B", "", "`name` of a private bridge, instead of a pot")
	environment := c.Flags().BoolP("environment", "E", false, "print the environment of its hooks, as shell commands")
	verbose := c.Flags().BoolP("verbose", "v", false, "show datasets, snapshots and limits too")
	c.Flags().Lookup("verbose").Annotations = map[string][]string{ownMeaning: {"yes"}}
	quiet := c.Flags().BoolP("quiet", "q", false, "print nothing: the exit status is 1 if the pot does not exist")
	snapshots := c.Flags().BoolP("snapshots", "s", false, "print only the names of its snapshots")
	runs := c.Flags().BoolP("running", "r", false, "print nothing: the exit status is 1 if it is not running")
	output := addOutput(c)
	return onPotOr(c, bridge, func(c *cobra.Command, o *hostFlags) error {
		return o.infoBridge(c, *bridge, *quiet, output)
	}, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		i, err := o.info(c.Context(), name)
		switch {
		case err != nil:
			return fmt.Errorf("cannot show the pot: %w", err)
		case *runs && !i.Active:
			return exitStatus{errReported, 1}
		case *quiet, *runs:
			return nil
		case *environment:
			return o.environment(c, name, output)
		case *snapshots:
			return output.print(c.OutOrStdout(), i.Snapshots, i.snapshotText)
		}
		return output.print(c.OutOrStdout(), i, func(w io.Writer) error { return i.text(w, *verbose) })
	})
}

// environment prints the environment of a pot's hooks, quoted for a shell: an image may
// have set the values. pot prints the values unquoted, and scripts run the output with
// eval: an image could run commands on the host by its pot.conf.
func (o *hostFlags) environment(c *cobra.Command, name pot.Name, output *output) error {
	ps, _, err := o.pots()
	if err != nil {
		return fmt.Errorf("cannot show the pot: %w", err)
	}
	s, err := local.Open(c.Context(), ps.Host(), name)
	if err != nil {
		return fmt.Errorf("cannot show the pot: %w", err)
	}
	var addr netip.Addr
	// A pot that runs may have another address than its pot.conf, which may have been
	// changed since.
	if p, err := ps.Find(name); err == nil {
		addr = p.Address()
	}
	all := s.Environment(c.Context(), addr)
	values := map[string]string{}
	for _, set := range all {
		key, value, _ := strings.Cut(set, "=")
		values[key] = value
	}
	return output.print(c.OutOrStdout(), values, func(w io.Writer) error {
		for _, set := range all {
			key, value, _ := strings.Cut(set, "=")
			if _, err := fmt.Fprintf(w, "export %s='%s'\n", key, strings.ReplaceAll(value, "'", `'\''`)); err != nil {
				return err
			}
		}
		return nil
	})
}

// info describes a pot. The values are pot.conf's own texts, unchecked: info must also show
// what is wrong there.
type info struct {
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Base       string            `json:"base"`
	Level      string            `json:"level"`
	Network    string            `json:"network_type"`
	Stack      string            `json:"stack,omitempty"`
	IP         string            `json:"ip,omitempty"`
	Bridge     string            `json:"bridge,omitempty"`
	Ports      []string          `json:"ports"`
	Active     bool              `json:"active"`
	Command    string            `json:"cmd"`
	Datasets   []string          `json:"datasets"`
	Snapshots  []snapshotInfo    `json:"snapshots"`
	Attributes map[string]string `json:"attributes"`
	CPUs       string            `json:"cpus,omitempty"`
	Memory     string            `json:"memory,omitempty"`
}

// snapshotInfo is a snapshot. Created is in seconds since 1970.
type snapshotInfo struct {
	Name    string `json:"name"` // DATASET@SNAPSHOT
	Created int64  `json:"created"`
	Bytes   int64  `json:"used_bytes"`
}

// info returns the description of a pot. list and prune use it for every pot.
func (o *hostFlags) info(ctx context.Context, name pot.Name) (*info, error) {
	host, _, err := o.open()
	if err != nil {
		return nil, err
	}
	root, err := o.zfsRoot()
	if err != nil {
		return nil, err
	}
	s, err := local.Open(ctx, host, name)
	if err != nil {
		return nil, err
	}
	potConf, err := s.Conf()
	if err != nil {
		return nil, fmt.Errorf("pot %s: %w", name, err)
	}
	v := potConf.Value
	i := &info{
		Name: string(name), Type: v("pot.type"), Base: v("pot.base"), Level: v("pot.level"),
		Network: cmp.Or(v("network_type"), "inherit"), Stack: v("pot.stack"), IP: v("ip"), Bridge: v("bridge"),
		Ports: strings.Fields(v("pot.export.ports")), Command: v("pot.cmd"), Attributes: map[string]string{},
		Datasets: []string{string(name) + "/m"}, Snapshots: []snapshotInfo{},
		CPUs: v("pot.rss.cpus"), Memory: v("pot.rss.memory"),
	}
	mounts, err := s.Mounts()
	for _, m := range mounts {
		i.Datasets = append(i.Datasets, strings.TrimSpace(fmt.Sprint(m)))
	}
	if err != nil {
		return nil, fmt.Errorf("pot %s: %w", name, err)
	}
	if i.Active, err = s.Running(ctx); err != nil {
		return nil, err
	}
	all, err := s.Snapshots(ctx)
	for _, one := range all {
		at := filepath.Join(root, "jails", string(name), one.Child) + "@" + one.Name
		i.Snapshots = append(i.Snapshots, snapshotInfo{at, one.Created.Unix(), one.UsedBytes})
	}
	for _, a := range infoAttributes() {
		i.Attributes[a] = cmp.Or(v("pot.attr."+a), conf.NewPotAttribute(a), "NO")
	}
	return i, err
}

// Attributes in the order of pot info: first attributes of the pot, then of its jail.
var (
	lifeAttributes = strings.Fields("start-at-boot early-start-at-boot persistent no-rc-script prunable localhost-tunnel no-tmpfs no-etc-hosts to-be-pruned")
	jailAttributes = strings.Fields(`enforce_statfs mount fdescfs linprocfs nullfs procfs tmpfs zfs raw_sockets
		sysvshm sysvsem sysvmsg children mlock devfs_ruleset exec_stop stop_timeout`)
)

// infoAttributes returns the names of all attributes that info shows.
func infoAttributes() []string {
	return append(append([]string{}, lifeAttributes...), jailAttributes...)
}

// text prints i in pot's own format. Scripts read it: tabs and blanks are as pot has them
// (share/pot/info.sh).
func (i *info) text(w io.Writer, verbose bool) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("pot name : %s", i.Name)
	line("\ttype : %s", i.Type)
	line("\tbase : %s", i.Base)
	line("\tlevel : %s", i.Level)
	line("\tnetwork_type : %s", i.Network)
	if i.Network != "inherit" {
		line("\tip : %s", i.IP)
		if i.Network == string(pot.PrivateBridge) {
			line("\tbridge : %s", i.Bridge)
		}
		switch {
		case verbose && len(i.Ports) == 0:
			line("\t\tno ports exported")
		case verbose:
			line("\t\texported ports: %s", strings.Join(i.Ports, " "))
		}
	}
	line("\tactive : %t", i.Active)
	if verbose {
		line("\tdatasets:")
		for _, d := range i.Datasets {
			line("\t\t%s", d)
		}
		line("\tsnapshots:")
		for _, s := range i.Snapshots {
			line("\t\t%s", s.Name)
		}
	}
	for title, names := range map[string][]string{"attributes": lifeAttributes} {
		line("\t%s:", title)
		for _, a := range names {
			line("\t\t%s: %s", a, i.Attributes[a])
		}
	}
	line("\tjail attributes:")
	for _, a := range jailAttributes {
		line("\t\t%s: %s", a, i.Attributes[a])
	}
	if verbose && i.CPUs+i.Memory != "" {
		line("\tresource limits:")
		if i.CPUs != "" {
			line("\t\tmax amount cpus: %s", i.CPUs)
		}
		if i.Memory != "" {
			line("\t\tmax amount memory: %s", i.Memory)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// snapshotText prints the names of the snapshots of the pot's own dataset, one to a line.
// A snapshot that only the tree has may have come with an image: neither clone nor export
// uses it.
func (i *info) snapshotText(w io.Writer) error {
	for _, s := range i.Snapshots {
		if of, name, _ := strings.Cut(s.Name, "@"); filepath.Base(of) == i.Name {
			if _, err := fmt.Fprintln(w, name); err != nil {
				return err
			}
		}
	}
	return nil
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
	c.MarkFlagsMutuallyExclusive("pot", "running", "all")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
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
			if _, err := fmt.Fprintf(w, "pot %s\n\tresident memory : %d bytes\n\tprocesses : %d\n\tcpu time : %.2f s\n", u.Name, u.Memory, u.Processes, u.CPU); err != nil {
				return err
			}
		}
		return nil
	})
}

// potUsage is the resource usage of a pot.
type potUsage struct {
	Name      pot.Name `json:"name"`
	Memory    int64    `json:"memory_bytes"`
	Processes int      `json:"processes"`
	CPU       float64  `json:"cpu_seconds"`
}

// usages returns the usage of all running pots, or of one.
func (o *hostFlags) usages(ctx context.Context, only pot.Name) ([]potUsage, error) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, err
	}
	names, err := ps.Running(ctx)
	all := []potUsage{}
	for _, name := range names {
		if only != "" && name != only {
			continue
		}
		u, err := ps.Host().Limits.Usage(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, potUsage{name, u.MemoryBytes, u.Procs, (u.CPUUser + u.CPUSystem).Seconds()})
	}
	if err == nil && only != "" && len(all) == 0 {
		err = errors.New("pot " + string(only) + " is not running")
	}
	return all, err
}
