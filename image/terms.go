package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"nomad-driver-pot/image/signify"
)

// Terms are on what an image is asked for. The zero value takes whatever the source
// serves to anyone.
type Terms struct {
	Digest Digest             // that the image must have; zero for any
	Key    *signify.PublicKey // that must have signed its digest; nil: nobody must have
	Login  Login              // for its source, and no other server

	// Optional has a source that refuses Login asked without it.
	Optional bool

	// Again has the source asked whether it serves what is imported already. Where it
	// does not, and no pot is cloned from what is there, that is replaced.
	Again bool

	// Own has the image become a pot that may be changed: it is imported without the labels
	// of an image, which what it is layered on has. A dataset of its name is fs.ErrExist.
	Own bool

	signer signify.PublicKey // Key, where terms are compared
}

// key tells terms from others in what they lead to.
func (t Terms) key() Terms {
	if t.Key != nil {
		key := *t.Key
		key.Comment = ""
		t.signer, t.Key = key, nil
	}
	return t
}

// Labels of datasets that say on what terms an image was had.
const (
	LabelSigner = "nomad.pot:signer" // signify.PublicKey.Fingerprint
	LabelLogin  = "nomad.pot:login"  // "required": the source was shown a Login
)

// refused tells whether a server wants to know who asks, or does not like who does.
func refused(err error) bool {
	var s statusError
	return errors.As(err, &s) && (int(s) == http.StatusUnauthorized || int(s) == http.StatusForbidden)
}

// confirm asks the source of an image that is imported whether it serves that, on
// these terms. What it serves otherwise is errChanged.
func (s *Store) confirm(ctx context.Context, ref Ref, t Terms, is Digest) error {
	got, err := s.cache.Announced(ctx, ref, t)
	if err == nil && got != is {
		err = fmt.Errorf("%w: %s, and %s is imported", errChanged, got.short(), is.short())
	}
	return err
}

// errChanged is a source that serves another image than it did.
var errChanged = errors.New("the source serves another image now")
