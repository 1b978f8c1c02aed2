package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/inspect"
	"nomad-driver-pot/image/zstream"
)

// inspectCommand shows what is in an image. pot has no such command, although pot start
// runs hooks and mounts directories that an image brings: this shows both before anything
// is imported. It writes nothing but a download, to a file without a name.
func inspectCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what an image contains, and what in it would affect a host",
		Long: `Shows an image's pot and release, its date, its datasets and the settings in its
pot.conf; and, as warnings, everything in it that would affect the host that imports it.
Nothing is extracted, and neither ZFS nor root is needed. All of the image is verified
before it is read, as by image verify.

Environment variables of pot.conf are shown by name; --env adds their values, which may
be secret. --files lists all paths in the image instead, one to a line, or with -o json
one JSON object to a line.

A layered image holds only the changes to the image that it was cloned from. Its files
are known only if that image is given with --origin, the oldest first if there are
several; everything else is shown without it.`,
		Example: `  pot image inspect hello_1.0.xz
  pot image inspect -C pots.pub https://images.example.org/pots/hello_1.0.xz
  pot image inspect --files --origin base_14.2.xz hello_1.0.xz`,
		Args: arguments("FILE"),
	}
	trust, output := addTrust(c), addOutput(c)
	files := c.Flags().Bool("files", false, "list the files in the image instead")
	values := c.Flags().Bool("env", false, "show the values of environment variables")
	below := addOrigins(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := trust.check(); err != nil {
			return err
		}
		if *files && *values {
			return errors.New("--files and --env are mutually exclusive")
		}
		p, err := place(args[0])
		if err != nil {
			return err
		}
		n := &inspection{of: p, trust: *trust, values: *values}
		if n.origins, err = below.places(); err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			n.bar = newProgress(c.ErrOrStderr())
			defer n.bar.done()
			if *files {
				return n.list(c.Context(), c.OutOrStdout(), *output)
			}
			r, err := n.report(c.Context())
			n.bar.done()
			if err != nil {
				return err
			}
			return output.print(c.OutOrStdout(), r, r.Text)
		})(c, args)
	}
	return c
}

// inspection is an inspection of an image: its arguments and flags. It reads the image
// once, from its beginning to its end.
type inspection struct {
	of      fetch.Location
	origins []fetch.Location
	trust   trust
	values  bool // show values of the environment
	bar     *progress
}

// report reads the image and describes it. A layered image is described without its origin,
// as far as that goes: its datasets, settings and warnings are in the image itself. Without
// -C the report names the key that the signature claims, which proves nothing.
func (n *inspection) report(ctx context.Context) (*inspect.Report, error) {
	r := inspect.New(n.of, n.values)
	seen := inspect.NewSeen()
	o := inspect.Options()
	o.SkipMissingOrigins = len(n.origins) == 0
	f, stream, err := n.index(ctx, o, seen.Add)
	if err != nil {
		return nil, err
	}
	r.AddFile(f, n.trust.blindly)
	if !n.trust.blindly && n.trust.pubkey == "" {
		claimed, err := n.of.ClaimedKey(ctx)
		r.Signature.Claim(claimed, err)
	}
	r.AddStream(stream, seen)
	return r, nil
}

// list writes a line for each file in the image. Lines are written while the image is read,
// so that the memory for a large image is bounded.
func (n *inspection) list(ctx context.Context, w io.Writer, format output) error {
	buffered := bufio.NewWriter(w)
	line := inspect.Lister(buffered, format == "json")
	first := true
	_, _, err := n.index(ctx, zstream.Options{}, func(e zstream.Entry) error {
		if first {
			n.bar.done() // the list may go to the same terminal
		}
		first = false
		return line(e)
	})
	if err != nil {
		return err
	}
	return buffered.Flush()
}

// index calls visit for each file of the image. The File that it returns is closed, and of
// use only for what was verified.
func (n *inspection) index(ctx context.Context, o zstream.Options, visit func(zstream.Entry) error) (*image.File, *zstream.Stream, error) {
	var done func()
	var err error
	o.Origins, done, err = n.trust.openOrigins(ctx, n.origins, os.TempDir(), n.bar)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	f, err := n.trust.open(ctx, n.of, os.TempDir(), n.bar)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	top := openDecoded(ctx, f, n.bar.of("reading"))
	defer top.Close()
	s, err := zstream.Index(ctx, top, o, visit)
	if err == nil {
		return f, s, nil
	}
	err = fmt.Errorf("cannot inspect %s: %w", n.of, decodeFault(err, append(o.Origins, top)))
	return nil, nil, hintOrigin(err, f.Meta, len(n.origins))
}
