package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/signify"
)

// imageCommands returns the commands that make, publish and read images.
func imageCommands() []*cobra.Command {
	return []*cobra.Command{exportCommand(), importCommand(), imageCommand(), imagesCommand()}
}

// imageCommand has the commands for images. None of them needs ZFS, FreeBSD or root: they
// are for the machine where images are made. export and import, which need a pot's host,
// are commands of their own, as in pot.
func imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Build, list, inspect, verify and publish images",
		Long: `Builds, inspects, verifies, extracts and publishes images in the form of pot export, and
lists and removes the images of this host.
FILE is the path or the URL (http, https or file) of an .xz file. Beside it are files of
the same name with these suffixes:

    .skein      its digest
    .meta       the image it was cloned from; images older than pot 0.13 have none
    .skein.sig  the signature of the digest, if the image is signed`,
		Example: `  pot image inspect hello_1.0.xz
  pot image build --from hello -p hello -t 1.0`,
		SuggestFor: []string{"rmi"},
		Args:       commandOf,
		RunE:       needsCommand,
	}
	c.AddCommand(
		buildCommand(), extractCommand(), imageListCommand("list", "ls"), inspectCommand(), pushCommand(),
		imageRemoveCommand(), verifyCommand(),
	)
	return c
}

// place parses the argument FILE.
func place(file string) (fetch.Location, error) {
	p, err := fetch.ParseLocation(file)
	if err != nil {
		err = fmt.Errorf("FILE: %w", err)
	}
	return p, err
}

// addPubkey adds -C to c, for the key that an image must be signed with.
func addPubkey(c *cobra.Command, name *string) {
	c.Flags().StringVarP(name, "pubkey", "C", "", "public key `file` of signify(1) that the image's signature must verify with")
}

// checks returns the checks that an image must pass. Its signature is one unless pubkey is
// "". The key is read here, before anything is fetched.
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
