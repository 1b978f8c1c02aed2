package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// preparing is a pot being created from an image, as by nomad-pot-driver.
type preparing struct {
	output *output
	creating
	image   image.Ref
	id      string // allocation ID
	as      string // replaces the image's name in the pot's
	command string
	ports   []string
	pubkey  string
	start   bool
}

// prepareCommand makes a pot for one allocation (pot prepare -p -t -U -a -n -c -e -N -i -B
// -S -d -C -s): nomad-pot-driver, the driver that calls pot's scripts, and scripts made for
// it use this command. With -s pot holds its lock of the whole host for as long as the pot
// runs; here start returns at once, and what the pot leaves is removed by the next start,
// stop or destroy. After a failure the pot is destroyed, and the imported image stays.
func prepareCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "prepare NAME -t TAG -U URL -a ID",
		Short: "Create a pot from an image, to be started once",
		Long: `Imports an image, unless it was imported before, and clones it as NAME_TAG_ID, or with -n
as NAME_ID, with dots replaced by _. The pot has the attributes for an allocation: it is
not persistent, runs only its command, and can be pruned once it has run.`,
		Example:     `  pot prepare -U https://images.example.org/pots -p web -t 1.0 -a 7d1f -n shop -c '/usr/local/bin/web -v' -N public-bridge -e 8080:18080`,
		Annotations: map[string]string{makesPot: "yes"},
		Args:        cobra.ArbitraryArgs,
	}
	m := &preparing{}
	f := c.Flags()
	f.StringVarP(&m.image.Name, "pot", "p", "", "`name` of the exported pot, instead of the argument NAME")
	f.StringVarP(&m.image.Tag, "tag", "t", "", "`tag` of the image: its version")
	f.StringVarP(&m.image.Source, "url", "U", "", "`URL` of the directory with the image")
	f.StringVarP(&m.id, "allocation", "a", "", "allocation `ID`, the end of the pot's name")
	f.StringVarP(&m.as, "name", "n", "", "`name` for the beginning of the pot's, instead of the image's")
	f.StringVarP(&m.command, "cmd", "c", "", "`command` of the pot, instead of the image's")
	f.StringArrayVarP(&m.ports, "port", "e", nil, "`port` to publish, as in pot export-ports; may be repeated")
	f.StringVarP(&m.network, "network", "N", "", "`network`: inherit, public-bridge, private-bridge or alias, instead of the image's")
	f.StringArrayVarP(&m.connect.Addresses, "ip", "i", nil, "`address` of the pot, or auto; may be repeated for network alias")
	f.StringVarP(&m.connect.Bridge, "bridge", "B", "", "the private `bridge`")
	f.StringVarP(&m.stack, "stack", "S", "", "`stack`: ipv4, ipv6 or dual")
	f.StringVarP(&m.dns, "dns", "d", "", "name `resolution`: inherit, pot, off or custom:FILE")
	f.BoolVarP(&m.start, "start", "s", false, "start the pot")
	addPubkey(c, &m.pubkey)
	o := addHostFlags(c)
	m.output = addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		at := "-p"
		if m.image.Name == "" && len(args) > 0 {
			at, m.image.Name, args = "NAME", args[0], args[1:]
		}
		if len(args) > 0 {
			return arguments()(c, args)
		}
		if err := m.validate(at); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error { return m.run(c, o) })(c, nil)
	}
	return c
}

// validate sets the name of the pot, and returns all errors in the flags. at is where the
// name of the image was typed.
func (m *preparing) validate(at string) error {
	errs := []error{refProblem(m.image, at), m.creating.validate()}
	if m.id == "" {
		errs = append(errs, errors.New("-a: an ID must be set"))
	}
	m.of = m.image.Dataset()
	m.name = strings.ReplaceAll(cmp.Or(m.as, m.of)+"_"+m.id, ".", "_")
	if err := pot.Name(m.name).Validate(); err != nil && m.id != "" && errs[0] == nil {
		errs = append(errs, fmt.Errorf("name of the pot: %w", err))
	}
	for _, s := range m.settings() {
		errs = append(errs, s.Validate())
	}
	return errors.Join(errs...)
}

// settings returns the changes to the image's settings that every prepared pot gets. The
// attributes are pot's (share/pot/prepare.sh). pot ignores each that it cannot set; here a
// failure is an error, since without persistent=NO the pot would never end.
func (m *preparing) settings() []local.Change {
	all := []local.Change{}
	if m.command != "" {
		all = append(all, local.SetCmd{Command: m.command})
	}
	for _, a := range []struct{ name, value string }{
		{"persistent", "NO"}, {"no-rc-script", "YES"}, {"prunable", "YES"},
		{"localhost-tunnel", "YES"}, {"no-etc-hosts", "YES"}, {"no-tmpfs", "YES"},
	} {
		all = append(all, local.SetAttribute{Name: a.name, Value: a.value})
	}
	if len(m.ports) > 0 {
		all = append(all, local.ExportPorts{Ports: m.ports})
	}
	return all
}

// run imports the image and creates the pot. After an error no pot is left. An image is
// known by its pot's name alone, as in pot: a changed image under the same tag is not
// fetched again.
func (m *preparing) run(c *cobra.Command, o *hostFlags) error {
	ps, conf, err := o.pots()
	if err != nil {
		return fmt.Errorf("cannot prepare the pot: %w", err)
	}
	// List takes a prefix and sorts: the dataset of that very name would be the first.
	there, err := ps.Host().Images.List(c.Context(), m.of)
	if err == nil && (len(there) == 0 || there[0] != m.of) {
		_, err = o.importImage(c, m.image, m.pubkey)
	}
	if err != nil {
		return fmt.Errorf("cannot prepare the pot: %w", err)
	}
	// A pot that another tool imported may have snapshots of its tree alone.
	m.first = true
	if err := m.creating.run(c, o, "prepare", m.fromPot); err != nil {
		return err
	}
	err = o.set(c, m.name, m.settings())
	if err == nil && m.start {
		_, _, err = local.Start(c.Context(), ps, pot.Name(m.name), local.StartOptions{DNS: conf.DNS, Tell: notes(c)})
	}
	if err != nil {
		after := context.WithoutCancel(c.Context())
		return errors.Join(err, local.Destroy(after, ps, pot.Name(m.name), true, local.StartOptions{Tell: notes(c)}))
	}
	return m.output.line(c.OutOrStdout(), schema.Created{Name: m.name, Image: m.image.Name + ":" + m.image.Tag}, m.name)
}
