package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/fetch"
)

// Labels of datasets that say what an image is, and which callers may use it.
const (
	LabelRef    = "nomad.pot:ref"    // Ref.String: what it was pulled as
	LabelDigest = "nomad.pot:digest" // Digest.String

	// LabelManifest is, in place of LabelDigest, the digest of the manifest that a container
	// image has for this host's platform: "sha256:...".
	LabelManifest = conf.LabelManifest

	LabelSigner = "nomad.pot:signer" // signify.PublicKey.Fingerprint
	LabelLogin  = "nomad.pot:login"  // "required": it was pulled with credentials

	// LabelSources are the other references that served the same bytes: fetch.Sources.String.
	LabelSources = "nomad.pot:sources"

	// LabelOrigin is the image that a layered one was received on: Meta.String and
	// Digest.String, separated by a space.
	LabelOrigin = "nomad.pot:origin"

	// LabelImported is the reference, Ref.String, that a person imported a pot as. The pot
	// loses it when it is changed or started.
	LabelImported = "nomad.pot:imported"

	// LabelTask and LabelAlloc name the task that a pot belongs to, and its allocation.
	LabelTask  = "nomad.pot:task"
	LabelAlloc = "nomad.pot:alloc"
)

// allowLocal is the hint in errors that tells an operator how to allow pots of this host as
// images.
const allowLocal = "allow pots of this host as images in the plugin's configuration (allow_local_images)"

// ErrNotImage means that a dataset has the name of an image but is none.
var ErrNotImage = errors.New("is not an image")

// candidate is a dataset that is an image, with what its labels say.
type candidate struct {
	Imported
	signer  string
	private bool          // it was pulled with credentials: its sources say who may use it
	sources fetch.Sources // empty: not known
	origin  string        // LabelOrigin
	byHand  bool          // a person imported it
}

// newCandidate returns the image that a dataset with those labels is, or ErrNotImage if it
// is none: guessing a pot's name must not give access to its files. If local, a pot of this
// host counts as an image, but never a task's pot.
func newCandidate(name string, labels map[string]string, local bool) (*candidate, error) {
	im := &candidate{
		Imported: Imported{Name: name, Manifest: labels[LabelManifest]},
		signer:   labels[LabelSigner], private: labels[LabelLogin] != "", origin: labels[LabelOrigin],
	}
	from, digest, digestLabel := labels[LabelRef], labels[LabelDigest], LabelDigest
	switch {
	case labels[LabelTask] != "" || labels[LabelAlloc] != "":
		return nil, fmt.Errorf("it is the pot of a task, and %w; set pot and tag to the name and the version of an image", ErrNotImage)
	case from != "" || digest != "":
	case labels[LabelImported] != "":
		im.byHand = true
		from = labels[LabelImported]
		digest, _, _ = strings.Cut(labels[LabelReceived], " ")
		digestLabel = LabelReceived
	case local:
		im.byHand = true
	case labels[LabelReceived] != "":
		return nil, fmt.Errorf("it is a pot that was imported by hand and may have been changed since, and %w any more; "+
			"destroy or rename it (pot destroy, pot rename), and the image is pulled, or %s", ErrNotImage, allowLocal)
	default:
		return nil, fmt.Errorf("it is a pot of this host, and %w; destroy or rename it (pot destroy, pot rename), "+
			"and the image is pulled, or %s", ErrNotImage, allowLocal)
	}
	if digest != "" {
		var err error
		if im.Digest, err = image.ParseDigest(digest); err != nil {
			return nil, fmt.Errorf("%s: %w", digestLabel, err)
		}
	}
	if from != "" {
		im.sources = fetch.Sources{{Ref: from, WithCredentials: im.private}}
	}
	for _, s := range fetch.ParseSources(labels[LabelSources]) {
		im.sources = im.sources.With(s)
	}
	return im, nil
}

// isFor reports whether the image is known to be what ref stands for. If it has no known
// sources, a person must have imported it: the caller compares the names.
func (im *candidate) isFor(ref image.Ref) bool {
	if len(im.sources) == 0 {
		return im.byHand
	}
	s, found := im.sources.Find(ref)
	return found && !s.Superseded
}

// read returns the image with that dataset name, or nil if there is no such dataset. It
// returns ErrNotImage for a dataset that is none.
func (s *Store) read(ctx context.Context, name string, opts image.PullOptions) (*candidate, error) {
	labels, err := s.datasets.Labels(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return newCandidate(name, labels, opts.Local)
}

// Beside returns the name of the dataset for an image with that digest if another image
// has the name r.Dataset.
func Beside(r image.Ref, d image.Digest) string { return besideStem(r) + "-" + d.Hex()[:besideDigits] }

// besideDigits is how many hexadecimal digits of a digest distinguish images of one name.
// Callers compare the whole digest: see Store.beside.
const besideDigits = 16

// besideStem begins the names that Beside returns, which are at most image.MaxName long.
func besideStem(r reference) string {
	name := r.Dataset()
	return name[:min(len(name), image.MaxName-1-besideDigits)]
}
