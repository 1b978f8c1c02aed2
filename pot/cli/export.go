package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// Labels of a pot's dataset: the tag and the snapshot of its last export. pot keeps the
// same in the properties :pot.tag and :pot.snap (share/pot/export.sh). Neither tool reads
// the other's: a pot that pot has exported counts as never exported here.
const (
	labelTag  = "nomad.pot:tag"
	labelSnap = "nomad.pot:snap"
)

// exportCommand exports a pot as an image (pot export -p -t -D -l -F -A -c -S); -s, to
// choose the snapshot, and --force are additions. pot overwrites an image silently; here
// that takes --force, since clients cache images by name. A failed export leaves no file; a
// snapshot that -A took or destroyed stays so.
func exportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "export POT [-t TAG]",
		Short: "Export a pot as an image",
		Long: `Exports the only snapshot of a pot as the image POT_TAG.xz, with the files beside it. An
existing image of that name is replaced only with --force.

A pot with no snapshot, or with several, is refused. -A takes a snapshot, or destroys all
but the newest; -F exports the newest and keeps the others.`,
		Example: `  pot export web -t 1.0
  pot export -p web -t 1.0 -D /srv/images -S pots.sec`,
		SuggestFor: []string{"save", "commit"},
	}
	e := &exporting{level: xz.DefaultLevel}
	f := c.Flags()
	f.StringVarP(&e.tag, "tag", "t", "", "`tag` of the image: its version (default: the snapshot's name)")
	f.StringVarP(&e.snapshot, "snapshot", "s", "", "`snapshot` to export, if the pot has several")
	f.StringVarP(&e.dir, "directory", "D", ".", "`directory` for the files")
	f.VarP(&e.level, "level", "l", "`level` of compression, 0 to 9")
	f.BoolVarP(&e.newest, "newest", "F", false, "export the newest of several snapshots")
	f.BoolVarP(&e.mend, "auto", "A", false, "take a snapshot if the pot has none, or destroy all but the newest")
	f.BoolVarP(&e.versions, "check", "c", false, "refuse a tag that is lower than the last one")
	f.StringVarP(&e.seckey, "seckey", "S", "", "secret key `file` of signify(1) to sign with")
	f.BoolVar(&e.replace, "force", false, "replace an existing image")
	output := addOutput(c)
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		s, err := o.settings(c.Context(), string(name))
		if err != nil {
			return fmt.Errorf("cannot export the pot: %w", err)
		}
		host, _, err := o.open()
		if err != nil {
			return fmt.Errorf("cannot export the pot: %w", err)
		}
		e.images, e.pot, e.name, e.note = host.Images, s, name, notes(c)
		e.bar = newProgress(c.ErrOrStderr())
		made, err := e.run(c.Context())
		e.bar.done()
		if err != nil {
			return err
		}
		return output.print(c.OutOrStdout(), made, func(w io.Writer) error { return builtText(w, made) })
	})
}

// xzLevel is the value of a flag: a compression level of xz(1).
type xzLevel int

// String, Type and Set implement pflag.Value.
func (l *xzLevel) String() string { return strconv.Itoa(int(*l)) }
func (l *xzLevel) Type() string   { return "level" }
func (l *xzLevel) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 9 {
		return fmt.Errorf("must be 0 to 9, not %q", s)
	}
	*l = xzLevel(n)
	return nil
}

// options returns the level in the form of xz.WriteOptions, where 0 is the default.
func (l xzLevel) options() int {
	if l == 0 {
		return xz.Level0
	}
	return int(l)
}

// exporting is an export of a pot: its flags, and the pot.
type exporting struct {
	tag, snapshot, dir, seckey string
	level                      xzLevel
	newest, mend, versions     bool
	replace                    bool

	images pot.Images
	pot    *local.Pot
	name   pot.Name
	note   func(string)
	bar    *progress
}

// The labels are set last: if that fails, the image is complete, but the next -c does not
// know of it, and clones of this pot cannot be exported until it is exported again.
func (e *exporting) run(ctx context.Context) (*schema.Built, error) {
	o, pick, err := e.plan(ctx)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*schema.Built, error) { return nil, running("export the pot", e.name, err) }
	made := &schema.Built{}
	// The passphrase is asked for before anything is destroyed or written.
	if e.seckey != "" {
		s, err := newSigner(ctx, e.seckey)
		if err != nil {
			return nil, fmt.Errorf("cannot use the secret key: %w", err)
		}
		o.Signer, made.KeyNumber = s, s.key.Number.String()
	}
	if o.Snapshot, err = e.prepare(ctx, pick); err != nil {
		return fail(err)
	}
	o.Tag = cmp.Or(o.Tag, o.Snapshot)
	o.Send = func(ctx context.Context, w io.Writer) error { return e.pot.Send(ctx, o.Snapshot, w) }
	if o.Progress, err = e.watch(ctx, o); err != nil {
		return fail(err)
	}
	a, err := build.Export(ctx, o)
	if err != nil {
		return nil, hintForce(fmt.Errorf("cannot %w", err), e.replace)
	}
	if err := e.images.SetLabels(ctx, string(e.name), map[string]string{labelTag: o.Tag, labelSnap: o.Snapshot}); err != nil {
		return fail(err)
	}
	made.Image, made.Digest, made.Snapshot, made.Bytes, made.StreamBytes = o.Name+":"+o.Tag, a.Digest.String(), o.Snapshot, a.Bytes, a.Stream
	// Signature is "" without -S.
	for _, file := range []string{a.XZ, a.Meta, a.Skein, a.Signature} {
		if file != "" {
			made.Files = append(made.Files, file)
		}
	}
	return made, nil
}

// plan returns what run will export. It changes nothing, and makes every check that it can:
// an export that is refused asks for no passphrase and destroys no snapshot. With -A and no
// tag, o has neither a snapshot nor a tag if the pot has no snapshot yet.
func (e *exporting) plan(ctx context.Context) (o build.ExportOptions, pick picked, err error) {
	fail := func(err error) (build.ExportOptions, picked, error) {
		return o, pick, running("export the pot", e.name, err)
	}
	if info, err := os.Stat(e.dir); err != nil || !info.IsDir() {
		return fail(fmt.Errorf("-D: %s: not a directory", e.dir))
	}
	conf, err := e.pot.Conf()
	if err != nil {
		return fail(err)
	}
	if kind := conf.Value("pot.type"); kind != "single" {
		return fail(fmt.Errorf("pot %s: its type is %q: only pots of type single can be exported", e.name, kind))
	}
	if pick, err = e.pick(ctx); errors.Is(err, errCount) {
		return o, pick, hinted{fmt.Errorf("cannot export the pot: %w", err), "-A takes a snapshot, or destroys all but the newest"}
	} else if err != nil {
		return fail(err)
	}
	o = build.ExportOptions{
		Name: string(e.name), Tag: cmp.Or(e.tag, pick.snapshot), Dir: e.dir, Snapshot: pick.snapshot, Replace: e.replace,
		XZ: xz.WriteOptions{Level: e.level.options()},
	}
	if o.Origin, err = e.origin(ctx); err != nil {
		return fail(err)
	}
	// With -A and without a snapshot the name is not known before the snapshot is taken.
	if o.Tag == "" {
		return o, pick, nil
	}
	if err := e.check(ctx, o); err != nil {
		return fail(err)
	}
	if err := o.Check(); err != nil {
		return o, pick, hintForce(fmt.Errorf("cannot %w", err), e.replace)
	}
	return o, pick, nil
}

// watch returns the function that draws progress, or nil without a terminal. The length of
// the stream is not known before; the bytes that the snapshot refers to are an estimate,
// and an increment has none.
func (e *exporting) watch(ctx context.Context, o build.ExportOptions) (func(n int64), error) {
	count := e.bar.of("exporting " + o.Name + "_" + o.Tag)
	if count == nil {
		return nil, nil
	}
	total := int64(-1)
	if o.Origin == (image.Meta{}) {
		all, err := e.pot.Snapshots(ctx)
		if err != nil {
			return nil, err
		}
		total = 0
		for _, one := range all {
			if one.Name == o.Snapshot {
				total += one.LogicalReferencedBytes
			}
		}
	}
	return func(n int64) {
		if total >= 0 {
			total = max(total, n)
		}
		count(n, total)
	}, nil
}

// errCount means that a pot does not have exactly one snapshot.
var errCount = errors.New("an image is made of exactly one")

// picked is the snapshot to export, and what must be done first.
type picked struct {
	snapshot string // "": take one first
	purge    bool   // destroy all others first
}

// pick returns the snapshot to export. It changes nothing. The newest is the greatest name:
// names are seconds since 1970, as pot makes them.
func (e *exporting) pick(ctx context.Context) (picked, error) {
	names, err := e.pot.SnapshotNames(ctx)
	if err != nil {
		return picked{}, err
	}
	if e.snapshot != "" {
		if slices.Contains(names, e.snapshot) {
			return picked{snapshot: e.snapshot}, nil
		}
		return picked{}, fmt.Errorf("-s: no such snapshot: %s: pot %s has %q", e.snapshot, e.name, names)
	}
	switch {
	case len(names) == 0 && e.mend:
		return picked{}, nil
	case len(names) == 0:
		return picked{}, fmt.Errorf("pot %s has no snapshot: %w", e.name, errCount)
	// -F wins over -A, as in pot: what -A destroys cannot be brought back.
	case len(names) > 1 && e.newest:
		e.note(fmt.Sprintf("pot %s has %d snapshots: exporting the newest, on ZFS with those before it", e.name, len(names)))
	case len(names) > 1 && !e.mend:
		return picked{}, fmt.Errorf("pot %s has %d snapshots: %w", e.name, len(names), errCount)
	}
	return picked{names[len(names)-1], e.mend && !e.newest && len(names) > 1}, nil
}

// prepare takes or destroys snapshots as -A asks, and returns the snapshot to export.
func (e *exporting) prepare(ctx context.Context, p picked) (string, error) {
	switch {
	case p.snapshot == "":
		return e.pot.Snapshot(ctx, false)
	case p.purge:
		_, err := e.pot.PurgeSnapshots(ctx, false)
		return p.snapshot, err
	}
	return p.snapshot, nil
}

// check refuses, with -c, a tag lower than the last one, or the last one of another
// snapshot. pot compares by sort -V too (share/pot/export.sh).
func (e *exporting) check(ctx context.Context, o build.ExportOptions) error {
	labels, err := e.images.Labels(ctx, string(e.name))
	last := labels[labelTag]
	if err != nil || !e.versions || last == "" {
		return err
	}
	switch order := compareVersions(o.Tag, last); {
	case order < 0:
		return fmt.Errorf("-t: %s is lower than %s, which was exported before", o.Tag, last)
	case order == 0 && labels[labelSnap] != o.Snapshot:
		return fmt.Errorf("-t: another snapshot was exported as %s, %s", last, labels[labelSnap])
	}
	return nil
}

// origin returns the image that the pot was cloned from, and that its own image will be
// incremental from; the zero Meta if it is no clone. pot takes the other pot's last tag,
// whichever snapshot that was exported from, and so can make an image whose origin no
// client finds: here that is an error.
func (e *exporting) origin(ctx context.Context) (image.Meta, error) {
	of, snapshot, err := e.pot.Origin(ctx)
	if err != nil || of == "" {
		return image.Meta{}, err
	}
	labels, err := e.images.Labels(ctx, of)
	if err != nil {
		return image.Meta{}, err
	}
	if ref := labels[store.LabelRef]; image.IsContainer(ref) {
		return image.Meta{}, fmt.Errorf("it is a clone of the container image %s, which no image can be layered on: build one with pot image build", ref)
	} else if ref != "" {
		r, err := image.ParseRef(ref)
		return image.Meta{Name: r.Name, Tag: r.Tag, Snapshot: snapshot}, err
	}
	switch {
	case labels[labelTag] == "":
		return image.Meta{}, fmt.Errorf("it is a clone of pot %s, which was never exported: export that first", of)
	case labels[labelSnap] != snapshot:
		return image.Meta{}, fmt.Errorf("pot %s was last exported from snapshot %s, but cloned from %s", of, labels[labelSnap], snapshot)
	}
	return image.Meta{Name: of, Tag: labels[labelTag], Snapshot: snapshot}, nil
}

// compareVersions compares in the order of sort -V for letters and numbers: runs of digits
// compare as numbers.
func compareVersions(a, b string) int {
	digits := func(s string) (run, rest string) {
		i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:]
	}
	for a != "" && b != "" {
		x, restA := digits(a)
		y, restB := digits(b)
		if x == "" || y == "" {
			if a[0] != b[0] {
				return strings.Compare(a[:1], b[:1])
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if x != y {
			return strings.Compare(x, y)
		}
		a, b = restA, restB
	}
	return len(a) - len(b)
}
