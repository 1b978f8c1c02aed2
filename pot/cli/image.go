package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/signify"
)

// imageCommand is what leads to the commands for images.
func imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "build images, and look at them",
		Long: `Builds images, and looks at them, as pot export writes them: FILE is the path or the URL (http,
https or file) of an .xz file. Beside it, with its name and an ending more, are

    .skein      its digest
    .meta       what it was cloned from; images older than pot 0.13 have none
    .skein.sig  the signature of the digest, if it is signed`,
		Args: commandOf,
		RunE: needsCommand,
	}
	c.AddCommand(buildCommand(), extractCommand(), inspectCommand(), pushCommand(), verifyCommand())
	return c
}

// place is FILE.
func place(file string) (fetch.Location, error) {
	p, err := fetch.ParseLocation(file)
	if err != nil {
		err = fmt.Errorf("FILE: %w", err)
	}
	return p, err
}

// addPubkey gives c the flag for the key that an image must be signed with.
func addPubkey(c *cobra.Command, name *string) {
	c.Flags().StringVarP(name, "pubkey", "C", "", "public key `file` of signify(1), whose secret key must have signed the image")
}

// checks are what is asked of an image: a signature too, unless pubkey is "".
func checks(pubkey string, count image.ProgressFunc) (fetch.Checks, error) {
	if pubkey == "" {
		return fetch.Checks{Count: count}, nil
	}
	key, err := signify.ReadPublicKey(pubkey)
	if err != nil {
		return fetch.Checks{}, fmt.Errorf("cannot use the public key: %w", err)
	}
	return fetch.Checks{Key: &key, Count: count}, nil
}
