package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
)

// trust is what is asked of an image before it is read.
type trust struct {
	pubkey  string // file of the key that must have signed it; "": none
	blindly bool   // nothing at all
}

// addTrust gives c the flags for it.
func addTrust(c *cobra.Command) *trust {
	t := &trust{}
	addPubkey(c, &t.pubkey)
	c.Flags().BoolVar(&t.blindly, "no-verify", false, "verify nothing: only the .xz is read")
	return t
}

// check says what is wrong with the flags.
func (t *trust) check() error {
	if t.blindly && t.pubkey != "" {
		return errors.New("--pubkey and --no-verify: only one of them can be meant")
	}
	return nil
}

// open is the image at p, verified if it is to be. One from a server is kept in
// dir, without a name, until it is closed.
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
