package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/flavour"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// creating is a pot that is made, anew or of another.
type creating struct {
	name     string
	kind     string
	base     string // a release, or an archive
	mirror   string // where releases are
	of       string // the pot that it is cloned from
	snapshot string
	first    bool // a snapshot of that is taken if it has none
	network  string
	connect  local.Connection
	stack    string
	dns      string
	flavours []string
	keep     bool
}

// addFlags gives c the flags of both.
func (m *creating) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&m.name, "pot", "p", "", "`name` of the new pot")
	f.StringVarP(&m.network, "network", "N", "", "`network`: inherit, public-bridge, private-bridge or alias")
	f.StringArrayVarP(&m.connect.Addresses, "ip", "i", nil, "`address` of the pot, or auto; may be repeated for network alias")
	f.StringVarP(&m.connect.Bridge, "bridge", "B", "", "the private `bridge`")
	f.StringVarP(&m.stack, "stack", "S", "", "`stack`: ipv4, ipv6 or dual")
	f.StringVarP(&m.dns, "dns", "d", "", "what names are resolved `by`: inherit, pot, off or custom:FILE")
	f.StringArrayVarP(&m.flavours, "flavour", "f", nil, "`flavour` to be applied; may be repeated")
	f.BoolVarP(&m.keep, "keep", "k", false, "keep what there is of a pot that could not be made")
}

func createCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "create -p POT -b TAR -t single",
		Short: "make a pot",
		Long: `Makes a pot whose tree is that of an archive, as FreeBSD's base.txz is: -b is its path,
or a release, whose archive is taken from the cache, where pot has it too, and fetched
first if it is not there, as pot create-base does. Flavours are read before anything is
made, and applied in order; if one fails, the pot is destroyed, unless -k keeps it.`,
		Example: `    pot create -p test -b 14.2 -t single -N public-bridge -f nginx`,
		Args:    arguments(),
	}
	m := &creating{}
	m.addFlags(c)
	c.Flags().StringVarP(&m.kind, "type", "t", "single", "`type` of the pot: single")
	c.Flags().StringVarP(&m.base, "base", "b", "", "`release` of FreeBSD, or an archive of a tree")
	c.Flags().StringVarP(&m.mirror, "mirror", "U", defaultMirror(), "`URL` of the directory with releases")
	o := addOnPots(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		m.network = cmp.Or(m.network, "inherit")
		errs := []error{checkPotName(m.name), m.understand()}
		switch {
		case m.kind == "multi":
			errs = append(errs, errors.New("-t: pots of type multi share trees of a base, which no image can hold: only single is made"))
		case m.kind != "single":
			errs = append(errs, fmt.Errorf("-t: must be single, not %q", m.kind))
		}
		if m.base == "" {
			errs = append(errs, errors.New("-b: a release or an archive must be set"))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return act(func(c *cobra.Command, _ []string) error { return m.run(c, o, "create", m.anew) })(c, nil)
	}
	return c
}

func cloneCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "clone -p POT -P OF",
		Short: "make a pot of another",
		Long: `Makes a pot of another as it was at its newest snapshot, or at another, with the
settings that it has now, and its network unless -N says another.`,
		Args: arguments(),
	}
	m := &creating{}
	m.addFlags(c)
	c.Flags().StringVarP(&m.of, "of", "P", "", "`name` of the pot that is cloned")
	c.Flags().StringVarP(&m.snapshot, "snapshot", "s", "", "`snapshot` of that, instead of its newest")
	c.Flags().BoolVarP(&m.first, "force", "F", false, "take a snapshot if it has none")
	o := addOnPots(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		errs := []error{checkPotName(m.name), m.understand()}
		if m.of == "" {
			errs = append(errs, errors.New("-P: the pot that is cloned must be set"))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return act(func(c *cobra.Command, _ []string) error { return m.run(c, o, "clone", m.again) })(c, nil)
	}
	return c
}

// understand is what is wrong with the flags that both have.
func (m *creating) understand() error {
	m.connect.Stack = pot.Stack(m.stack)
	var errs []error
	if m.dns != "" {
		errs = append(errs, local.SetDNS{Kind: m.dns}.Validate())
	}
	if m.network != "" {
		m.connect.Network = networkMode(m.network)
		errs = append(errs, m.connect.Validate())
	}
	return errors.Join(errs...)
}

// networkMode is pot's word for a network, as it is kept here.
func networkMode(word string) pot.NetworkMode {
	if word == "inherit" || word == "" {
		return pot.HostNetwork
	}
	return pot.NetworkMode(word)
}

// run makes a pot. Flavours are read before, so that nobody waits for a pot to be told
// of a typing error.
func (m *creating) run(c *cobra.Command, o *onPots, what string, make func(*cobra.Command, *onPots, *life.Pots) (*local.Pot, error)) error {
	fail := func(err error) error { return fmt.Errorf("cannot %s the pot: %w", what, err) }
	all, err := o.flavours(m.flavours)
	if err != nil {
		return fail(err)
	}
	ps, _, err := o.pots()
	if err != nil {
		return fail(err)
	}
	s, err := make(c, o, ps)
	if err != nil {
		return fail(err)
	}
	if err := m.finish(c, o, ps, s, all); err != nil {
		if !m.keep {
			err = errors.Join(err, local.Destroy(context.WithoutCancel(c.Context()), ps, s.Name(), true, local.StartOptions{Tell: notes(c)}))
		}
		return fail(err)
	}
	return nil
}

// finish connects the pot and applies its flavours.
func (m *creating) finish(c *cobra.Command, o *onPots, ps *life.Pots, s *local.Pot, all []*flavour.Flavour) error {
	addr, err := local.Connect(c.Context(), ps, s, m.connect)
	if err != nil {
		return err
	}
	if addr.IsValid() {
		notes(c)("address of " + string(s.Name()) + ": " + addr.String())
	}
	if m.dns != "" {
		if err := s.Apply(c.Context(), local.SetDNS{Kind: m.dns}); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	return o.flavour(c, s.Name(), all)
}

// anew makes the pot from an archive: by the host's own tar(1) where the host has that,
// else as a stream, which is received whole or not at all.
func (m *creating) anew(c *cobra.Command, o *onPots, ps *life.Pots) (*local.Pot, error) {
	file, release, err := o.baseFile(c.Context(), m.base, m.mirror)
	if err != nil {
		return nil, err
	}
	conf := conf.New{Base: release}
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
		if s, err := m.unpack(c.Context(), ps, file, conf); !errors.Is(err, pot.ErrUnsupported) {
			return s, err
		}
	}
	return m.receive(c, o, ps, file, conf)
}

// unpack has the host unpack the archive.
func (m *creating) unpack(ctx context.Context, ps *life.Pots, file string, conf conf.New) (*local.Pot, error) {
	text, err := conf.Format(m.name)
	if err != nil {
		return nil, err
	}
	archive, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	s, err := local.Unpack(ctx, ps, pot.Name(m.name), archive, text)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return s, err
}

// receive makes a stream of the archive, and has the host receive it.
func (m *creating) receive(c *cobra.Command, o *onPots, ps *life.Pots, file string, conf conf.New) (*local.Pot, error) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := build.Stream(ctx, w, build.BuildOptions{
			Name: m.name, Tag: "new", From: file, Spool: o.spool(), Conf: conf, Warn: notes(c),
		})
		w.CloseWithError(err)
		written <- err
	}()
	s, err := local.Create(ctx, ps, pot.Name(m.name), r)
	cancel()
	r.CloseWithError(io.ErrClosedPipe)
	if unread := <-written; err != nil && unread != nil && !errors.Is(unread, io.ErrClosedPipe) && !errors.Is(unread, context.Canceled) {
		err = unread
	}
	return s, err
}

// again makes the pot of another.
func (m *creating) again(c *cobra.Command, o *onPots, ps *life.Pots) (*local.Pot, error) {
	of, err := local.Open(c.Context(), ps.Host(), pot.Name(m.of))
	if err != nil {
		return nil, err
	}
	conf, err := of.Conf()
	if err != nil {
		return nil, err
	}
	if m.network == "" {
		m.connect.Network = networkMode(conf.Value("network_type"))
		m.connect.Bridge = cmp.Or(m.connect.Bridge, conf.Value("bridge"))
		if m.connect.Network != pot.PrivateBridge {
			m.connect.Bridge = ""
		}
	}
	m.connect.Stack = cmp.Or(m.connect.Stack, pot.Stack(conf.Value("pot.stack")))
	if err := m.connect.Validate(); err != nil {
		return nil, err
	}
	if names, err := of.SnapshotNames(c.Context()); err == nil && len(names) == 0 && m.first {
		if _, err := of.Snapshot(c.Context(), false); err != nil {
			return nil, err
		}
	}
	s, err := local.Clone(c.Context(), ps, pot.Name(m.name), pot.Name(m.of), m.snapshot)
	if errors.Is(err, local.ErrNoSnapshot) {
		err = hinted{err, "-F takes one"}
	}
	return s, err
}

// spool is where an archive's contents are kept while they are read: on the pots' own
// disk, which has room for them.
func (o *onPots) spool() string {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return ""
	}
	return o.dir
}

// baseFile is the archive that -b says, fetched if need be, and the release in it, ""
// if that is not said.
func (o *onPots) baseFile(ctx context.Context, base, mirror string) (file, release string, err error) {
	if strings.Contains(base, "/") || strings.Contains(base, ".t") {
		return base, "", nil
	}
	if !conf.ValidRelease(base) {
		return "", "", fmt.Errorf("-b: must be a release, as in 14.2, or the path of an archive, not %.80q", base)
	}
	if file, err = o.cachedBase(base); err != nil {
		return "", "", err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := fetchBase(ctx, mirrored(mirror, base), file); err != nil {
			return "", "", hinted{fmt.Errorf("fetch release %s: %w", base, err), "-b may be the path of an archive instead, and -U another mirror"}
		}
	}
	return file, base, nil
}
