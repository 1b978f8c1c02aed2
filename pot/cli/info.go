package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// infoCommand shows a pot (pot info -p -B -q -r -E -s -v). -q and -r answer by the exit
// status alone. It reads datasets and so needs the rights for that; it changes nothing.
func infoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "info POT | -B BRIDGE",
		Short: "Show a pot's settings, or a private bridge",
		Long: `Shows a pot's settings and network, and whether it runs; -v adds its datasets and
snapshots. Of the environment it shows the names alone. With -E the output is for a shell: eval "$(pot info -E -p POT)" sets the
variables of hooks, such as _POT_NAME and _POT_IP.`,
		Example: `  pot info web
  pot info -v -p web
  pot info -B lan`,
		SuggestFor: []string{"inspect", "describe", "status"},
	}
	bridge := c.Flags().StringP("bridge", "B", "", "`name` of a private bridge, instead of a pot")
	environment := c.Flags().BoolP("environment", "E", false, "print the environment of its hooks, as shell commands")
	verbose := c.Flags().BoolP("verbose", "v", false, "show datasets and snapshots too")
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
		case *quiet && errors.Is(err, fs.ErrNotExist):
			return exitStatus{errReported, 1}
		case err != nil:
			return fmt.Errorf("cannot show the pot: %w", err)
		case *runs && i.State != schema.Running:
			return exitStatus{errReported, 1}
		case *quiet, *runs:
			return nil
		case *environment:
			return o.environment(c, name, output)
		case *snapshots:
			return output.print(c.OutOrStdout(), i.Snapshots, func(w io.Writer) error { return snapshotText(w, i) })
		}
		return output.print(c.OutOrStdout(), i, func(w io.Writer) error { return infoText(w, i, *verbose) })
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

// info returns the description of a pot.
func (o *hostFlags) info(ctx context.Context, name pot.Name) (*schema.PotInfo, error) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, err
	}
	if _, err := local.Open(ctx, ps.Host(), name); err != nil {
		return nil, err
	}
	found, err := local.Describe(ctx, ps, local.Filter{Name: name})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, pot.Reword(fs.ErrNotExist, "no such pot: %s", name)
	}
	return o.infoOf(ctx, ps, found[0])
}

// infoOf adds to a pot's description what its settings say. The values are pot.conf's own,
// unchecked: info must also show what is wrong there.
func (o *hostFlags) infoOf(ctx context.Context, ps *life.Pots, d local.Description) (*schema.PotInfo, error) {
	name := d.Name
	if d.Err != nil {
		return nil, fmt.Errorf("pot %s: %w", name, d.Err)
	}
	root, err := o.zfsRoot()
	if err != nil {
		return nil, err
	}
	s, err := local.Open(ctx, ps.Host(), name)
	if err != nil {
		return nil, err
	}
	i := &schema.PotInfo{
		Pot: potOf(d), DependsOn: []string{}, Environment: []schema.Variable{},
		Datasets: []string{string(name) + "/m"}, Snapshots: []schema.Snapshot{}, Attributes: map[string]string{},
	}
	if err := readInfo(i, s); err != nil {
		return nil, fmt.Errorf("pot %s: %w", name, err)
	}
	all, err := s.Snapshots(ctx)
	for _, one := range all {
		i.Snapshots = append(i.Snapshots, schema.Snapshot{
			Dataset: filepath.Join(root, "jails", string(name), one.Child), Snapshot: one.Name,
			Created: one.Created.UTC().Truncate(time.Second), UsedBytes: one.UsedBytes,
		})
	}
	return i, err
}

// readInfo adds what the pot's pot.conf and fscomp.conf say. Of the environment it has the
// names alone: values may be secret.
func readInfo(i *schema.PotInfo, s *local.Pot) error {
	lines, err := s.Conf()
	if err != nil {
		return err
	}
	read, err := s.ReadConf()
	if err != nil {
		return err
	}
	v := lines.Value
	i.Type, i.Base, i.Level, i.Command = v("pot.type"), v("pot.base"), v("pot.level"), v("pot.cmd")
	i.Hostname, i.DNS = v("host.hostname"), v("pot.dns")
	i.User, i.WorkDir = read.User, read.WorkDir
	i.DependsOn = append(i.DependsOn, lines.Values("pot.depend")...)
	for _, set := range read.Env {
		name, _, _ := strings.Cut(set, "=")
		i.Environment = append(i.Environment, schema.Variable{Name: name})
	}
	i.Limits.CPUs, _ = strconv.Atoi(v("pot.rss.cpus"))
	i.Limits.MemoryBytes, _ = conf.ParseMemory(v("pot.rss.memory"))
	mounts, err := s.Mounts()
	for _, m := range mounts {
		i.Datasets = append(i.Datasets, strings.TrimSpace(fmt.Sprint(m)))
	}
	for _, a := range infoAttributes() {
		i.Attributes[a] = cmp.Or(v("pot.attr."+a), conf.NewPotAttribute(a), "NO")
	}
	return err
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

// infoText prints i in pot's own format, with the command, its user and working
// directory, the environment and the ports, which pot leaves out.
func infoText(w io.Writer, i *schema.PotInfo, verbose bool) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("pot name : %s", i.Name)
	line("\ttype : %s", i.Type)
	line("\tbase : %s", i.Base)
	line("\tlevel : %s", i.Level)
	line("\tcommand : %s", i.Command)
	for _, set := range []struct{ name, value string }{{"user", i.User}, {"work dir", i.WorkDir}} {
		if set.value != "" {
			line("\t%s : %s", set.name, set.value)
		}
	}
	if len(i.Environment) > 0 {
		var names []string
		for _, e := range i.Environment {
			names = append(names, e.Name)
		}
		line("\tenvironment : %s", strings.Join(names, " "))
	}
	line("\tnetwork_type : %s", i.Network.Mode)
	if i.Network.Mode != "inherit" {
		line("\tip : %s", strings.Join(i.Network.Addresses, " "))
		if i.Network.Bridge != "" {
			line("\tbridge : %s", i.Network.Bridge)
		}
		if len(i.Ports) == 0 {
			line("\t\tno ports exported")
		} else {
			line("\t\texported ports: %s", strings.ReplaceAll(portsText(i.Ports), ",", " "))
		}
	}
	line("\tactive : %t", i.State == schema.Running)
	if verbose {
		line("\tdatasets:")
		for _, d := range i.Datasets {
			line("\t\t%s", d)
		}
		line("\tsnapshots:")
		for _, s := range i.Snapshots {
			line("\t\t%s@%s", s.Dataset, s.Snapshot)
		}
	}
	line("\tattributes:")
	for _, a := range lifeAttributes {
		line("\t\t%s: %s", a, i.Attributes[a])
	}
	line("\tjail attributes:")
	for _, a := range jailAttributes {
		line("\t\t%s: %s", a, i.Attributes[a])
	}
	if i.Limits != (schema.Limits{}) {
		line("\tresource limits:")
	}
	if i.Limits.CPUs != 0 {
		line("\t\tmax amount cpus: %d", i.Limits.CPUs)
	}
	if i.Limits.MemoryBytes != 0 {
		line("\t\tmax amount memory: %s", memoryText(i.Limits.MemoryBytes))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// memoryText writes bytes as pot set-rss -M takes them, in the largest unit that divides them.
func memoryText(bytes int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}} {
		if bytes%unit.bytes == 0 {
			return fmt.Sprintf("%d%s", bytes/unit.bytes, unit.name)
		}
	}
	return strconv.FormatInt(bytes, 10)
}

// snapshotText prints the names of the snapshots of the pot's own dataset, one to a line.
func snapshotText(w io.Writer, i *schema.PotInfo) error {
	for _, s := range i.Snapshots {
		if path.Base(s.Dataset) == i.Name {
			if _, err := fmt.Fprintln(w, s.Snapshot); err != nil {
				return err
			}
		}
	}
	return nil
}
