package cli

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
)

// setCommands returns the commands that change or show the settings of a pot.
func setCommands() []*cobra.Command {
	return []*cobra.Command{
		setCmdCommand(), setAttributeCommand("set-attribute"), setAttributeCommand("set-attr"), setRSSCommand(),
		setEnvCommand(), setHostsCommand(), exportPortsCommand(), setHookCommand(), addDepCommand(),
		mountInCommand(), mountOutCommand(), getAttributeCommand(),
	}
}

// setter completes c, a command that changes the settings of a pot. find returns the
// changes after the flags have been parsed. All changes are validated before the first is
// made. They are not one transaction: after a failure the changes before it stay.
func setter(c *cobra.Command, find func(o *hostFlags) ([]local.Change, error)) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	name := potFlag(c)
	o := addHostFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		all, err := find(o)
		errs := []error{onlyPot(c, name, args), err}
		for _, s := range all {
			errs = append(errs, s.Validate())
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error { return o.set(c, *name, all) })(c, nil)
	}
	return c
}

// set makes changes to a pot. A change of a running pot counts from its next start, except
// where local.Change refuses it.
func (o *hostFlags) set(c *cobra.Command, name string, all []local.Change) error {
	s, err := o.settings(c.Context(), name)
	for _, setting := range all {
		if err == nil {
			err = s.Apply(c.Context(), setting)
		}
	}
	switch {
	case errors.Is(err, local.ErrRunning):
		return hinted{fmt.Errorf("cannot change the pot: %w", err), "pot stop " + name + " stops it"}
	case err != nil:
		return fmt.Errorf("cannot change the pot: %w", err)
	}
	for _, setting := range all {
		if _, ok := setting.(local.ExportPorts); ok {
			return noteUnpublished(c, s)
		}
	}
	return nil
}

// noteUnpublished prints a note if the pot's network publishes no ports. pot prints a note
// too, and stores the ports: the network may be changed later.
func noteUnpublished(c *cobra.Command, s *local.Pot) error {
	conf, err := s.Conf()
	if err != nil {
		return err
	}
	switch network := conf.Value("network_type"); {
	case network != string(pot.PublicBridge) && network != string(pot.PrivateBridge):
		notes(c)("network " + cmp.Or(network, "inherit") + " publishes no ports: only pots on a bridge do")
	case conf.Value("pot.stack") == string(pot.IPv6):
		notes(c)("a pot with only IPv6 publishes no ports: its own address is reachable")
	}
	return nil
}

// setCmdCommand sets the command (pot set-cmd -p -c). local.SetCmd has the rule for quotes. Its
// user and its working directory are not pot's: a container image sets them.
func setCmdCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "set-cmd POT -c COMMAND",
		Short: "Set the command of a pot",
		Long: `Sets the command that a pot runs when it is started, quoted as for a shell. One pair of
double quotes around the whole is stripped. -U and -w set who runs it, and where: "" is
root, and /. What has no flag stays as it is.`,
		Example: `  pot set-cmd -p test -c "nginx -g 'daemon off;'"
  pot set-cmd test -U www -w /srv/www`,
	}
	command := c.Flags().StringP("cmd", "c", "", "`command` that the pot runs")
	user := c.Flags().StringP("user", "U", "", "run it as this `user` of the pot, or USER:GROUP")
	dir := c.Flags().StringP("workdir", "w", "", "run it in this `directory` of the pot")
	return setter(c, func(*hostFlags) ([]local.Change, error) {
		var all []local.Change
		if c.Flags().Changed("user") {
			all = append(all, local.SetUser{User: *user})
		}
		if c.Flags().Changed("workdir") {
			all = append(all, local.SetWorkDir{Dir: *dir})
		}
		if len(all) == 0 || c.Flags().Changed("cmd") {
			all = append(all, local.SetCmd{Command: *command})
		}
		return all, nil
	})
}

// setAttributeCommand sets an attribute (pot set-attribute -p -A -V). pot accepts set-attr
// as a short name (share/pot/help.sh), which is hidden here so that help lists each command
// once.
func setAttributeCommand(name string) *cobra.Command {
	c := &cobra.Command{
		Use:   name + " POT -A ATTRIBUTE -V VALUE",
		Short: "Set an attribute of a pot",
		Long: `Sets an attribute of a pot, or of its jail. A value that is a switch is yes or no, true or
false, on or off. The attributes are

` + attributeLines(),
		Example: `  pot set-attribute -p test -A persistent -V NO`,
	}
	if name == "set-attr" {
		c.Short += ": set-attribute"
		c.Hidden = true
	}
	attribute := c.Flags().StringP("attribute", "A", "", "`name` of the attribute")
	value := c.Flags().StringP("value", "V", "", "its `value`")
	return setter(c, func(*hostFlags) ([]local.Change, error) {
		return []local.Change{local.SetAttribute{Name: *attribute, Value: *value}}, nil
	})
}

// setRSSCommand sets limits (pot set-rss -p -C -M). pot binds the pot to that many
// processors by cpuset(1); here -C bounds its CPU time, and the scheduler chooses the
// processors.
func setRSSCommand() *cobra.Command {
	c := &cobra.Command{
		Use:        "set-rss POT [-C CPUS] [-M MEMORY]",
		Short:      "Set resource limits of a pot",
		Long:       `Limits the number of processors and the memory of a pot.`,
		Example:    `  pot set-rss web -C 2 -M 512M`,
		SuggestFor: []string{"update", "limit"},
	}
	cpus := c.Flags().StringP("cpus", "C", "", "`number` of processors")
	memory := c.Flags().StringP("memory", "M", "", "`amount` of memory in bytes, or with a unit as in 512M")
	return setter(c, func(*hostFlags) ([]local.Change, error) {
		return []local.Change{local.SetRSS{CPUs: *cpus, Memory: *memory}}, nil
	})
}

// setEnvCommand replaces the environment (pot set-env -p -E). In pot a shell in the jail
// expands $ and backquotes in the values; here no shell reads them.
func setEnvCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "set-env POT -E VAR=VALUE...",
		Short: "Set the environment of a pot",
		Long: `Sets the whole environment of a pot's command, and replaces the one set before. Values are
used as they are: nothing in them is expanded.`,
		Example: `  pot set-env web -E LEVEL=info -E LANG=C`,
	}
	vars := c.Flags().StringArrayP("env", "E", nil, "`VAR=value`; may be repeated")
	return setter(c, func(*hostFlags) ([]local.Change, error) { return []local.Change{local.SetEnv{Vars: *vars}}, nil })
}

// setHostsCommand replaces the additional lines of hosts(5) (pot set-hosts -p -H). As with
// pot, none removes them all. -H begins with the name, and the file with the address: an
// IPv6 address holds colons, so the first one ends the name.
func setHostsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "set-hosts POT [-H NAME:ADDRESS]...",
		Short: "Set additional entries of a pot's hosts file",
		Long: `Sets all additional entries of a pot's hosts(5) file, and replaces those set before.
Without -H it removes them.`,
		Example: `  pot set-hosts web -H db:10.192.0.9`,
	}
	entries := c.Flags().StringArrayP("host", "H", nil, "`name:address`, IPv4 or IPv6; may be repeated")
	return setter(c, func(*hostFlags) ([]local.Change, error) {
		return []local.Change{local.SetHosts{Entries: *entries}}, nil
	})
}

// exportPortsCommand replaces the published ports (pot export-ports -p -e). The port in the
// pot comes first, as in pot's code; the help of pot names them the other way round.
func exportPortsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "export-ports POT -e [PROTO:]PORT[:HOST_PORT]...",
		Short: "Set the ports that a pot publishes",
		Long: `Sets all ports that a pot publishes, and replaces those set before. PORT is the pot's,
HOST_PORT the host's; without HOST_PORT a free port is chosen when the pot is started.
PROTO is tcp, the default, or udp.`,
		SuggestFor: []string{"port", "ports", "publish"},
		Example:    `  pot export-ports -p test -e 80 -e udp:53:30053`,
	}
	ports := c.Flags().StringArrayP("port", "e", nil, "`port` to publish; may be repeated")
	return setter(c, func(*hostFlags) ([]local.Change, error) { return []local.Change{local.ExportPorts{Ports: *ports}}, nil })
}

// addDepCommand adds a dependency (pot add-dep -p -P). pot accepts cycles, and repeats a
// dependency that exists; neither has a command to remove one.
func addDepCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "add-dep POT -P OTHER",
		Short:   "Add a pot that must be started before a pot",
		Example: `  pot add-dep web -P db`,
		Long:    `Adds a dependency: the other pot is started before the pot. Cycles are refused.`,
	}
	on := c.Flags().StringP("depends-on", "P", "", "`name` of the other pot")
	return setter(c, func(*hostFlags) ([]local.Change, error) { return []local.Change{local.AddDep{On: pot.Name(*on)}}, nil })
}

// setHookCommand copies programs into the pot's dataset (pot set-hook -p -s -S -t -T) and
// approves them for this host. As with pot there is no command to remove one.
func setHookCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "set-hook POT [-s FILE] [-S FILE] [-t FILE] [-T FILE]",
		Short: "Set programs to run on this host when a pot starts and stops",
		Long: `Sets programs that run on this host, as root, before and after a pot is started and
stopped. The files are copied, and become part of images exported from the pot. A Nomad
task that uses such an image runs them only if the operator allows it.`,
		Example: `  pot set-hook web -s register.sh -T unregister.sh`,
	}
	flags := []struct {
		hook  conf.Hook
		short string
		file  *string
	}{{conf.PreStart, "s", nil}, {conf.PostStart, "S", nil}, {conf.PreStop, "t", nil}, {conf.PostStop, "T", nil}}
	for i, f := range flags {
		flags[i].file = c.Flags().StringP(string(f.hook), f.short, "", "`program` to run at that time")
	}
	return setter(c, func(*hostFlags) (all []local.Change, err error) {
		for _, f := range flags {
			if *f.file != "" {
				all = append(all, local.SetHook{Hook: f.hook, File: *f.file})
			}
		}
		if all == nil {
			err = errors.New("one of -s, -S, -t and -T must be set")
		}
		return all, err
	})
}

// absolute returns the absolute path of name, or "" for "".
func absolute(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	return filepath.Abs(name)
}
