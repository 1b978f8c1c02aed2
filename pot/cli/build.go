package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/oci"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/schema"
)

// buildCommand builds an image from a tree. pot has no such command: there an image is
// always exported from a pot, which needs FreeBSD, ZFS and root. The files are those that
// pot export makes. After an error no file of it is left.
func buildCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "build --from DIR|TAR|IMAGE -p NAME -t TAG",
		Short: "Build an image from a directory, an archive or a container image",
		Long: `Builds the image NAME_TAG.xz, and the files beside it, from the root tree of a pot:
a directory, or a tar archive, plain or compressed with xz, gzip or bzip2; - reads an
archive from standard input. It needs no ZFS, no FreeBSD and no root. Files of a
directory keep their owners; --all-root makes root the owner of all of them.

--from also takes a container image, whose layers become the tree, and whose entrypoint
and command, environment, user, working directory and ports the pot's settings:

  oci:DIR[:TAG]  oci-archive:FILE[:TAG]  docker-archive:FILE[:REPO:TAG]
  docker://REGISTRY/REPO:TAG  docker://REGISTRY/REPO@DIGEST

--cmd, --env and --port override them. All digests are verified. What a pot does not have
is named in a warning. Credentials for registries are read from the config.json that
--docker-config names, or from the one in $DOCKER_CONFIG.

With -S the image is signed with a secret key of signify(1), whose passphrase is asked
for on the terminal. The time of the snapshot is now, the container image's own, or
SOURCE_DATE_EPOCH if that is set: the same files, options and time make the same stream.
An existing image is replaced only with --force.`,
		Example: `  pot image build --from hello -p hello -t 1.0 --cmd /bin/hello --env GREETING=hello --port 8080
  tar -cf - -C hello . | pot image build --from - -p hello -t 1.0 -b 14.2-RELEASE -S pots.sec -D /srv/images
  pot image build --from docker://ghcr.io/freebsd/freebsd-runtime:14.3 -p runtime -t 14.3 --cmd /bin/sh
  pot image build --from oci:web:1.0 --platform freebsd/arm64 -p web -t 1.0`,
		Args: arguments(),
	}
	b := &building{attributes: map[string]string{}}
	b.addFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := b.validate(); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			b.bar = newProgress(c.ErrOrStderr())
			defer b.bar.done()
			b.options.Warn = aboveBar(b.bar, c)
			if b.options.From == "-" {
				b.options.Archive = c.InOrStdin()
			}
			made, err := b.run(c.Context())
			b.bar.done()
			if err != nil {
				return err
			}
			return output.print(c.OutOrStdout(), made, func(w io.Writer) error { return builtText(w, made) })
		})(c, nil)
	}
	return c
}

// building is an image being built. options is filled by the flags directly, and completed
// by validate.
type building struct {
	options    build.BuildOptions
	seckey     string // "": it is not signed
	release    string
	attributes attributeFlags
	level      int
	container  containerFlags
	bar        *progress
}

// addFlags adds the flags to c, with the letters that pot's create, set-cmd, set-env,
// set-attribute, export-ports and export use.
func (b *building) addFlags(c *cobra.Command) {
	o, f := &b.options, c.Flags()
	f.StringVar(&o.From, "from", "", "root `tree`: a directory, an archive, - for an archive on standard input, or a container image")
	f.StringVarP(&o.Name, "pot", "p", "", "`name` of the pot")
	f.StringVarP(&o.Tag, "tag", "t", "", "`tag` of the image: its version")
	f.StringVarP(&o.Conf.Command, "cmd", "c", "", "`command` that the pot runs, quoted as for a shell (default sh /etc/rc, or the container image's)")
	f.StringArrayVarP(&o.Conf.Env, "env", "E", nil, "`VAR=value` for the environment; may be repeated")
	f.VarP(b.attributes, "attr", "A", "attribute `name=value`, as in pot set-attribute; may be repeated")
	f.StringArrayVarP(&o.Conf.Ports, "port", "e", nil, "`port` to export, [tcp:|udp:]N[:M]: N in the pot, M on the host; may be repeated")
	f.StringVarP(&b.release, "release", "b", "", "FreeBSD `release` in the tree, such as 14.2-RELEASE")
	f.StringVarP(&b.seckey, "seckey", "S", "", "secret key `file` of signify(1) to sign with")
	f.IntVarP(&b.level, "level", "l", xz.DefaultLevel, "`level` of compression, 1 to 9")
	f.StringVarP(&o.Dir, "directory", "D", ".", "`directory` for the files")
	b.container.add(c)
	f.BoolVar(&o.AllRoot, "all-root", false, "make root the owner of all files")
	f.BoolVar(&o.Replace, "force", false, "replace an existing image")
}

// attributeFlags is the value of a flag that may be repeated.
type attributeFlags map[string]string

// String, Type and Set implement pflag.Value. String returns "", which pflag takes for an
// empty default and does not print.
func (a attributeFlags) String() string { return "" }
func (a attributeFlags) Type() string   { return "name=value" }
func (a attributeFlags) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if _, twice := a[name]; !ok || name == "" || twice {
		return fmt.Errorf("must be name=value, each name once, not %q", s)
	}
	a[name] = value
	return nil
}

// buildFlags are the flags that set the fields of an image's pot.conf and of its name.
var buildFlags = map[string]string{
	"name": "-p", "tag": "-t", "base": "-b", "command": "-c", "attributes": "-A", "ports": "-e", "env": "-E",
}

// validate returns all errors in the flags, before anything is read. -l 0 is missing,
// unlike in export: 0 is the default of xz.WriteOptions.
func (b *building) validate() error {
	var errs []error
	o := &b.options
	report := func(field string, err error) {
		errs = append(errs, fmt.Errorf("%s: %w", cmp.Or(buildFlags[field], field), err))
	}
	if o.From == "" {
		report("--from", errors.New("a directory or an archive must be set"))
	}
	(image.Ref{Source: "file:///", Name: o.Name, Tag: o.Tag}).Check(report)
	if b.level < 1 || b.level > 9 {
		report("-l", fmt.Errorf("must be 1 to 9, not %d", b.level))
	}
	o.XZ.Level, o.Conf.Attributes = b.level, b.attributes
	o.Conf.Base = strings.TrimSuffix(b.release, "-RELEASE") // pot.base, as pot create -b takes it
	o.Conf.Check(report)
	b.container.check("--from", o.From, report)
	created, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	o.Created = created
	return errors.Join(append(errs, err)...)
}

// sourceDate parses SOURCE_DATE_EPOCH, the time of a reproducible build in seconds since
// 1970 (reproducible-builds.org). It returns the zero time for "".
func sourceDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: must be seconds since 1970, not %q", s)
	}
	return time.Unix(seconds, 0), nil
}

// run builds the image. It reads the key first: a wrong passphrase must not show only after
// a long build.
func (b *building) run(ctx context.Context) (*schema.Built, error) {
	if info, err := os.Stat(b.options.Dir); err != nil {
		return nil, fmt.Errorf("cannot build to %s: %w", b.options.Dir, cause(err))
	} else if !info.IsDir() {
		return nil, fmt.Errorf("cannot build to %s: not a directory", b.options.Dir)
	}
	made := &schema.Built{Image: b.options.Name + ":" + b.options.Tag}
	if b.seckey != "" {
		s, err := newSigner(ctx, b.seckey)
		if err != nil {
			return nil, fmt.Errorf("cannot use the secret key: %w", err)
		}
		b.options.Signer, made.KeyNumber = s, s.key.Number.String()
	}
	if oci.IsSource(b.options.From) {
		close, err := b.openContainer(ctx, made)
		if err != nil {
			return nil, err
		}
		defer close()
	}
	if b.options.Tree == nil { // or its layers are read first
		b.countBuilding()
	}
	a, err := build.Build(ctx, b.options)
	if err != nil {
		return nil, hintForce(fmt.Errorf("cannot %w", err), b.options.Replace)
	}
	made.Files = []string{a.XZ, a.Meta, a.Skein}
	if a.Signature != "" {
		made.Files = append(made.Files, a.Signature)
	}
	made.Digest, made.Snapshot = a.Digest.String(), a.Snapshot
	made.Bytes, made.StreamBytes, made.FileCount = a.Bytes, a.Stream, &a.Files
	return made, nil
}

// countBuilding shows the progress of the stream that is written.
func (b *building) countBuilding() {
	if count := b.bar.of("building"); count != nil {
		b.options.Progress = func(p build.BuildProgress) { count(p.Done, p.Total) }
	}
}

// hintForce adds the hint on --force to an fs.ErrExist error, unless --force was given.
func hintForce(err error, given bool) error {
	if errors.Is(err, fs.ErrExist) && !given {
		return hinted{err, "--force replaces it"}
	}
	return err
}

// builtText prints the paths, one to a line, the sizes and the digest.
func builtText(w io.Writer, b *schema.Built) error {
	lines := append([]string{}, b.Files...)
	sizes := fmt.Sprintf("%d bytes, from a stream of %d", b.Bytes, b.StreamBytes)
	if b.FileCount != nil {
		sizes = fmt.Sprintf("%d files, %s", *b.FileCount, sizes)
	}
	_, err := fmt.Fprintln(w, strings.Join(append(lines, sizes, b.Digest), "\n"))
	return err
}
