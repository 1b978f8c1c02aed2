package cli

import (
	"fmt"
	"io"
	"path"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/schema"
)

// verifyCommand verifies an image as import does, and keeps nothing. pot has no such
// command.
func verifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify the digest and the signature of an image",
		Long: `Verifies that an image has the digest in its .skein: Skein-1024-1024 of the .xz
followed by the .meta, or of the .xz alone if there is no .meta, as with images older
than pot 0.13. With -C the .skein must be signed with that key, which is verified first.
An image from a server is not kept.

It prints what was verified. If anything is wrong the exit status is 1.`,
		Example: `  pot image verify hello_1.0.xz
  pot image verify -C pots.pub https://images.example.org/pots/hello_1.0.xz`,
		Args: arguments("FILE"),
	}
	var pubkey string
	addPubkey(c, &pubkey)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := place(args[0])
		if err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			bar := newProgress(c.ErrOrStderr())
			defer bar.done()
			checks, err := checks(pubkey, bar.of("verifying"))
			if err != nil {
				return err
			}
			v, err := p.Verify(c.Context(), checks)
			bar.done()
			if err != nil {
				return fmt.Errorf("cannot %w", err)
			}
			r := newVerdict(p, v)
			return output.print(c.OutOrStdout(), schema.Verified(r), r.text)
		})(c, args)
	}
	return c
}

// verdict is what was verified.
type verdict schema.Verified

// newVerdict describes a verified image. An image without a .meta is older than pot 0.13,
// and its digest covers one file.
func newVerdict(p fetch.Location, v image.Verified) verdict {
	name := path.Base(p.String())
	r := verdict{File: p.String(), Bytes: v.Bytes, Digest: v.Digest.String(), Covers: []string{name}}
	if v.HasMeta {
		r.Covers = append(r.Covers, name+".meta")
	}
	if v.Meta != (image.Meta{}) {
		r.ClonedFrom = v.Meta.String()
	}
	if v.Key != nil {
		r.KeyNumber = v.Key.String()
	}
	return r
}

// text prints the verdict, one line for each part.
func (r verdict) text(w io.Writer) error {
	lines := [][2]string{
		{"image", r.File},
		{"bytes", fmt.Sprint(r.Bytes)},
		{"digest", r.Digest},
		{"covers", list(r.Covers)},
		{"cloned from", "none: not layered"},
		{"signature", "not checked"},
	}
	if r.ClonedFrom != "" {
		lines[4][1] = r.ClonedFrom
	}
	if r.KeyNumber != "" {
		lines[5][1] = "with key " + r.KeyNumber
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "%-11s %s\n", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}
