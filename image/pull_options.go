package image

import (
	"nomad-driver-pot/image/signify"
)

// PullOptions are on what an image is asked for. The zero value takes whatever the source
// serves to anyone.
type PullOptions struct {
	Digest      Digest             // that the image must have; zero for any
	Key         *signify.PublicKey // that must have signed its digest; nil: nobody must have
	Credentials Credentials        // for its source, and no other server

	// Optional has a source that refuses Login asked without it.
	AuthSoftFail bool

	// Again has the source asked what it serves now. An image that it serves no more stays
	// beside the one that is imported then, for the pots that are cloned from it.
	ForcePull bool

	// Local has a dataset of the image's name be an image also if this program has not
	// imported it, nor labelled it as something else.
	Local bool

	// Own has the image become a pot that may be changed: it is imported without the labels
	// of an image, which what it is layered on has. A dataset of its name is fs.ErrExist.
	Own bool

	signer signify.PublicKey // Key, where terms are compared

	Deliver bool // the source is to send the image, whatever is in the cache
}

// Comparable returns what tells options from others in what they lead to.
func (t PullOptions) Comparable() PullOptions {
	if t.Key != nil {
		key := *t.Key
		key.Comment = ""
		t.signer, t.Key = key, nil
	}
	return t
}
