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
	"nomad-driver-pot/image/zstream"
)

// inspectCommand says what an image is.
func inspectCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "say what an image is, and what in it would act on a host",
		Long: `Says what an image is: of which pot and release, when it was made, its datasets,
what its pot.conf asks for; and, as warnings, what in it would act on the host that
imports it. Nothing is extracted, no ZFS is needed and no root, and nothing is read
before all of the image is verified, as by image verify.

Of the environment in pot.conf names are shown, and values with --env alone: they
may be secret. With --files all paths in the image are listed instead, a line for
each; with -o json a JSON object for each.

A layered image holds what has changed since the one that it was cloned from. What
files it has can be told if that one is given with --origin, the oldest first where
there are more; all else is told without it.`,
		Example: `    pot image inspect hello_1.0.xz
    pot image inspect -C pots.pub https://images.example.org/pots/hello_1.0.xz
    pot image inspect --files --origin base_14.2.xz hello_1.0.xz`,
		Args: arguments("FILE"),
	}
	trust, output := addTrust(c), addOutput(c)
	files := c.Flags().Bool("files", false, "list the files in it instead")
	values := c.Flags().Bool("env", false, "show values of the environment too")
	below := addOrigins(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := trust.check(); err != nil {
			return err
		}
		if *files && *values {
			return errors.New("--files and --env: only one of them can be meant")
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
			return output.tell(c.OutOrStdout(), r, r.text)
		})(c, args)
	}
	return c
}

// inspection is a look at an image.
type inspection struct {
	of      image.Place
	origins []image.Place
	trust   trust
	values  bool // of the environment too
	bar     *progress
}

// maxConf bounds the files of conf that are read, in bytes.
const maxConf = 1 << 20

// report is all that can be said of the image.
func (n *inspection) report(ctx context.Context) (*findings, error) {
	r := newFindings(n.of, n.values)
	seen := newSeen()
	o := zstream.Options{
		Content:            &zstream.ContentFilter{Match: isConf, MaxBytes: maxConf},
		SkipMissingOrigins: len(n.origins) == 0,
	}
	f, stream, err := n.index(ctx, o, seen.add)
	if err != nil {
		return nil, err
	}
	r.verified(f, n.trust.blindly)
	if !n.trust.blindly && n.trust.pubkey == "" {
		claimed, err := n.of.ClaimedKey(ctx)
		r.Signature.claim(claimed, err)
	}
	r.stream(stream, seen)
	return r, nil
}

// list writes a line for each file in the image.
func (n *inspection) list(ctx context.Context, w io.Writer, format output) error {
	buffered := bufio.NewWriter(w)
	line := lister(buffered, format)
	first := true
	_, _, err := n.index(ctx, zstream.Options{}, func(e zstream.Entry) error {
		if first {
			n.bar.done() // the line is free
		}
		first = false
		return line(e)
	})
	if err != nil {
		return err
	}
	return buffered.Flush()
}

// index reads the image, which is closed by then: of the file only what was
// verified is of use.
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
