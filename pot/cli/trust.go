package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
)

// trust says how an image must be verified before it is read. pot verifies only on import;
// these flags are for commands that read an image without importing it.
type trust struct {
	pubkey  string // file of the key that must have signed it; "": no signature needed
	blindly bool   // verify nothing
}

// addTrust adds -C and --no-verify to c.
func addTrust(c *cobra.Command) *trust {
	t := &trust{}
	addPubkey(c, &t.pubkey)
	c.Flags().BoolVar(&t.blindly, "no-verify", false, "verify nothing, and read only the .xz")
	return t
}

// check returns an error if both flags are set.
func (t *trust) check() error {
	if t.blindly && t.pubkey != "" {
		return errors.New("--pubkey and --no-verify are mutually exclusive")
	}
	return nil
}

// open opens the image at p, and verifies it unless --no-verify is set. An image from a
// server is kept in dir, in a file without a name, until it is closed.
func (t trust) open(ctx context.Context, p fetch.Location, dir string, bar *progress) (f *image.File, err error) {
	if t.blindly {
		f, err = p.OpenUnverified(ctx, bar.of("downloading"), dir)
	} else {
		var c fetch.Checks
		if c, err = checks(t.pubkey, bar.of("verifying")); err != nil {
			return nil, err
		}
		f, err = p.Open(ctx, c, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot %w", err)
	}
	return f, nil
}
