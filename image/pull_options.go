package image

import (
	"nomad-driver-pot/image/signify"
)

// PullOptions merge the job's wishes with the operator's policy. The zero value accepts
// whatever the source serves without credentials.
type PullOptions struct {
	Digest      Digest             // that the image must have; zero for any
	Key         *signify.PublicKey // that must have signed the digest; nil: no signature needed
	Credentials Credentials        // for the image's source, and no other server

	// DockerConfig is the path of docker's config.json, which has credentials for registries if
	// Credentials has none; "" is none.
	DockerConfig string

	// AuthSoftFail retries without Credentials if the source refuses them.
	AuthSoftFail bool

	// ForcePull asks the source what it serves now. If that is another image, it is imported
	// beside the one here, which stays for the pots that are cloned from it.
	ForcePull bool

	// Local accepts a dataset of the image's name that this program has not imported, unless
	// it is labelled as something else.
	Local bool

	// AsPot imports the image as a pot that may be changed: without the labels of an image,
	// which its origins get. The error is fs.ErrExist if a dataset has its name.
	AsPot bool

	signer signify.PublicKey // Key, in what Comparable returns

	Refetch bool // the source must send the image, even if the cache has it
}

// Comparable returns options that are equal (==) if pulls with them may be shared.
func (t PullOptions) Comparable() PullOptions {
	if t.Key != nil {
		key := *t.Key
		key.Comment = ""
		t.signer, t.Key = key, nil
	}
	return t
}
