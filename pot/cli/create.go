package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/flavour"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/oci"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// creating is a pot being created, from a base or from another pot. create, clone and
// prepare share it: prepare clones an image that it has imported.
type creating struct {
	name      string
	kind      string
	base      string // a release, the path of an archive, or a container image
	mirror    string // URL of the directory with releases
	container containerFlags
	of        string // the pot to clone
	snapshot  string // of that pot; "": its newest
	first     bool   // take a snapshot of that pot if it has none
	network   string
	connect   local.Connection
	stack     string
	dns       string
	flavours  []string
	keep      bool
	bar       *progress
	made      schema.NewPot
}

// addFlags adds the flags that create and clone share.
func (m *creating) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&m.name, "pot", "p", "", "`name` of the new pot, instead of the argument POT")
	f.StringVarP(&m.network, "network", "N", "", "`network`: inherit, public-bridge, private-bridge or alias")
	f.StringArrayVarP(&m.connect.Addresses, "ip", "i", nil, "`address` of the pot, or auto; may be repeated for network alias")
	f.StringVarP(&m.connect.Bridge, "bridge", "B", "", "the private `bridge`")
	f.StringVarP(&m.stack, "stack", "S", "", "`stack`: ipv4, ipv6 or dual")
	f.StringVarP(&m.dns, "dns", "d", "", "name `resolution`: inherit, pot, off or custom:FILE")
	f.StringArrayVarP(&m.flavours, "flavour", "f", nil, "`flavour` to apply; may be repeated")
	f.BoolVarP(&m.keep, "keep", "k", false, "keep the pot if a later step fails")
}

// createCommand creates a pot from a release (pot create -p -b -t -N -i -B -S -d -f -k).
// Their type is single, pot's default is multi: the trees of a multi pot are shared, so
// no image can be made from it, and it has no levels (-l) either. -P is left to clone,
// which shares blocks where create -P copies them. Without -k a failure destroys the pot;
// the fetched archive stays in the cache.
func createCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "create POT -b RELEASE|TAR|IMAGE",
		Short: "Create a pot from a FreeBSD release or a container image",
		Long: `Creates a pot from an archive such as FreeBSD's base.txz. -b is the path of the archive,
or a release, whose archive is used from pot's cache, and fetched into it if it is missing,
as by pot create-base. Flavours are checked before anything is created, and applied in
order; if one fails, the pot is destroyed, unless -k is given.

-b also takes a container image, such as FreeBSD's own, in the forms that pot image build
--from takes. The pot gets its files, command, environment, user, working directory and
ports, and otherwise the settings of any new pot. Without a command it runs /etc/rc.`,
		Example: `  pot create web -b 14.2
  pot create web -b docker://ghcr.io/freebsd/freebsd-runtime:14.3 -f nginx
  pot create -p test -b 14.2 -t single -N public-bridge -f nginx`,
		Annotations: map[string]string{makesPot: "yes"},
		SuggestFor:  []string{"new", "add", "make"},
		Args:        cobra.ArbitraryArgs,
	}
	m := &creating{}
	m.addFlags(c)
	c.Flags().StringVarP(&m.kind, "type", "t", "single", "`type` of the pot: single")
	c.Flags().StringVarP(&m.base, "base", "b", "", "FreeBSD `release`, the path of an archive, or a container image")
	c.Flags().StringVarP(&m.mirror, "mirror", "U", defaultMirror(), "`URL` of the directory with releases")
	m.container.add(c)
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		// Only create has this default: clone takes the other pot's network.
		m.network = cmp.Or(m.network, "inherit")
		errs := []error{onlyPot(c, &m.name, args), m.validate()}
		switch {
		case m.kind == "multi":
			errs = append(errs, errors.New("-t: pots of type multi share trees of a base, which no image can hold: use single"))
		case m.kind != "single":
			errs = append(errs, fmt.Errorf("-t: must be single, not %q", m.kind))
		}
		if m.base == "" {
			errs = append(errs, errors.New("-b: a release, an archive or a container image must be set"))
		}
		m.container.check("-b", m.base, func(flag string, err error) { errs = append(errs, fmt.Errorf("%s: %w", flag, err)) })
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			return m.print(c, output, m.run(c, o, "create", m.fromBase))
		})(c, nil)
	}
	return c
}

// cloneCommand clones a pot (pot clone -p -P -s -F -N -i -B -S -d -f -k). Unlike pot it
// keeps the private bridge of the other pot without -B, and never the attribute
// to-be-pruned. Hooks and mounts that are approved in the other pot are approved in the
// clone. Without -k a failure destroys the clone; a snapshot that -F has taken stays with
// the other pot.
func cloneCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "clone POT -P OF",
		Short: "Clone a pot",
		Long: `Creates a pot as a clone of another one's newest snapshot, or of the snapshot given with
-s. The new pot gets the current settings of the other one, and its network unless -N is
given.`,
		Example: `  pot clone copy -P web
  pot clone -p copy -P web -F -N public-bridge`,
		Annotations: map[string]string{makesPot: "yes"},
		SuggestFor:  []string{"copy", "cp", "duplicate"},
		Args:        cobra.ArbitraryArgs,
	}
	m := &creating{}
	m.addFlags(c)
	c.Flags().StringVarP(&m.of, "of", "P", "", "`name` of the pot to clone")
	c.Flags().StringVarP(&m.snapshot, "snapshot", "s", "", "`snapshot` to clone, instead of the newest")
	c.Flags().BoolVarP(&m.first, "force", "F", false, "take a snapshot if the pot has none")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		errs := []error{onlyPot(c, &m.name, args), m.validate()}
		if m.of == "" {
			errs = append(errs, errors.New("-P: the pot to clone must be set"))
		} else if err := pot.Name(m.of).Validate(); err != nil {
			errs = append(errs, fmt.Errorf("-P: %w", err))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			m.made.Of = m.of
			return m.print(c, output, m.run(c, o, "clone", m.fromPot))
		})(c, nil)
	}
	return c
}

// print prints the pot as JSON if that is asked for, unless err is set. As text it prints
// nothing, like pot.
func (m *creating) print(c *cobra.Command, o *output, err error) error {
	if err != nil {
		return err
	}
	m.made.Name = m.name
	return o.print(c.OutOrStdout(), m.made, func(io.Writer) error { return nil })
}

// validate returns all errors in the flags that create and clone share. Without -N the
// network is known only when the other pot's pot.conf is read: fromPot validates it then.
func (m *creating) validate() error {
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

// networkMode returns the mode for pot's word; "" is inherit. pot calls a jail that uses
// the host's addresses inherit, Nomad calls it host.
func networkMode(word string) pot.NetworkMode {
	if word == "inherit" || word == "" {
		return pot.HostNetwork
	}
	return pot.NetworkMode(word)
}

// run creates a pot by make, and finishes it. Flavours are read first: a typing error must
// not show only after the pot has been created. what is the verb for errors. A pot that
// make has created is destroyed if a later step fails, unless -k is given, and even after
// ctx has ended: a half-configured pot would keep its name and its address.
func (m *creating) run(c *cobra.Command, o *hostFlags, what string, make func(*cobra.Command, *hostFlags, *life.Pots) (*local.Pot, error)) error {
	fail := func(err error) error { return fmt.Errorf("cannot %s the pot: %w", what, err) }
	all, err := o.flavours(m.flavours)
	if err != nil {
		return fail(err)
	}
	ps, _, err := o.pots()
	if err != nil {
		return fail(err)
	}
	m.bar = newProgress(c.ErrOrStderr())
	s, err := make(c, o, ps)
	m.bar.done() // output of flavours may go to the same terminal
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

// finish connects the pot and applies its flavours. The address comes before the flavours,
// whose scripts may need the network.
func (m *creating) finish(c *cobra.Command, o *hostFlags, ps *life.Pots, s *local.Pot, all []*flavour.Flavour) error {
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

// fromBase creates the pot from an archive: by the host's own tar(1) if the host can, and
// otherwise as a stream, which is received whole or not at all.
func (m *creating) fromBase(c *cobra.Command, o *hostFlags, ps *life.Pots) (*local.Pot, error) {
	if oci.IsSource(m.base) {
		return m.fromContainer(c, o, ps)
	}
	file, release, err := o.baseFile(c.Context(), m.base, m.mirror, m.bar)
	if err != nil {
		return nil, err
	}
	conf := conf.New{Base: release}
	m.made.Base = release
	// A pipe can be read once, so it is never tried twice.
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
		if s, err := m.unpack(c.Context(), ps, file, conf); !errors.Is(err, pot.ErrUnsupported) {
			return s, err
		}
	}
	return m.receive(c, o, ps, build.BuildOptions{From: file, Conf: conf})
}

// unpack lets the host unpack the archive. It returns pot.ErrUnsupported, with nothing
// made, on a host that cannot.
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
	if info, err := archive.Stat(); err == nil {
		m.bar.poll("unpacking "+filepath.Base(file), func() (done, total int64) {
			done, _ = archive.Seek(0, io.SeekCurrent) // tar(1) reads by the same offset
			return done, info.Size()
		})
		defer m.bar.done()
	}
	s, err := local.Unpack(ctx, ps, pot.Name(m.name), archive, text)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return s, err
}

// receive converts files to a stream, and lets the host receive it. A failed
// conversion closes the pipe with its error, so that the host sees no early end of file,
// which it could take for a whole stream. Of the two errors the conversion's is the reason,
// unless it only says that the reader has gone.
func (m *creating) receive(c *cobra.Command, o *hostFlags, ps *life.Pots, options build.BuildOptions) (*local.Pot, error) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	options.Name, options.Tag, options.Spool, options.Warn = m.name, "new", o.spool(), aboveBar(m.bar, c)
	if options.Tree == nil { // or it counts what it reads
		if count := m.bar.of("unpacking " + filepath.Base(options.From)); count != nil {
			options.Progress = func(p build.BuildProgress) { count(p.Done, p.Total) }
		}
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := build.Stream(ctx, w, options)
		w.CloseWithError(err)
		written <- err
	}()
	s, err := local.Create(ctx, ps, pot.Name(m.name), r)
	// The conversion must not wait for a host that reads no more.
	cancel()
	r.CloseWithError(io.ErrClosedPipe)
	if unread := <-written; err != nil && unread != nil && !errors.Is(unread, io.ErrClosedPipe) && !errors.Is(unread, context.Canceled) {
		err = unread
	}
	return s, err
}

// fromPot clones the pot from another. The checks come before the snapshot: a clone that
// they refuse leaves the other pot without a new one.
func (m *creating) fromPot(c *cobra.Command, o *hostFlags, ps *life.Pots) (*local.Pot, error) {
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
		err = hinted{err, "-F takes one first"}
	}
	return s, err
}

// spool returns the directory for an archive's contents while they are read: on the pots'
// disk, which has room for them. It returns "" if that directory cannot be made. /tmp may
// be in memory and too small for a release.
func (o *hostFlags) spool() string {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return ""
	}
	return o.dir
}

// baseFile returns the archive that -b names, fetched if it is missing, and its release, ""
// if -b is the path of an archive. A name with a slash or with .t, as in .txz and .tar, is
// a path: no release has either.
func (o *hostFlags) baseFile(ctx context.Context, base, mirror string, bar *progress) (file, release string, err error) {
	if strings.Contains(base, "/") || strings.Contains(base, ".t") {
		return base, "", nil
	}
	if !conf.ValidRelease(base) {
		return "", "", fmt.Errorf("-b: must be a release, as in 14.2, the path of an archive, or a container image, not %.80q", base)
	}
	if file, err = o.cachedBase(base); err != nil {
		return "", "", err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := fetchBase(ctx, mirrored(mirror, base), file, bar); err != nil {
			return "", "", hinted{fmt.Errorf("fetch release %s: %w", base, err), "-b can be the path of an archive instead, and -U another mirror"}
		}
	}
	return file, base, nil
}
