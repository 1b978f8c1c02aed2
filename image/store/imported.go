package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
)

// Labels of datasets that say what an image is, and on what terms it may be used.
const (
	LabelRef    = "nomad.pot:ref"    // Ref.String: what it was pulled as
	LabelDigest = "nomad.pot:digest" // Digest.String

	LabelSigner = "nomad.pot:signer" // signify.PublicKey.Fingerprint
	LabelLogin  = "nomad.pot:login"  // "required": the source was shown a Login

	// LabelSources is what else the same bytes are served as: sources.String.
	LabelSources = "nomad.pot:sources"

	// LabelOrigin is the image that a layered one was received on: Meta.String and
	// Digest.String, separated by a space.
	LabelOrigin = "nomad.pot:origin"

	// LabelImported is what a person imported a pot as, Ref.String, for as long as the
	// pot is not changed or started.
	LabelImported = "nomad.pot:imported"

	// LabelTask and LabelAlloc are on the pot of a task: they name it, and its allocation.
	LabelTask  = "nomad.pot:task"
	LabelAlloc = "nomad.pot:alloc"
)

// allowLocal says how an operator lets the pots of a host be images.
const allowLocal = "allow pots of this host as images in the plugin's configuration (allow_local_images)"

// ErrNotImage is a dataset that has the name of an image and is none.
var ErrNotImage = errors.New("is not an image")

// imported is a dataset that is an image.
type candidate struct {
	Imported
	signer  string
	private bool          // it was pulled with a Login: its sources say who may use it
	sources fetch.Sources // none: not known
	origin  string        // LabelOrigin
	byHand  bool          // a person imported it
}

// newImported returns the image that a dataset with those labels is. If it is none the
// error is ErrNotImage: a pot's files are not for whoever guesses its name. local is
// whether a pot of this host, which is nobody's image, is one all the same.
func newCandidate(name string, labels map[string]string, local bool) (*candidate, error) {
	im := &candidate{
		Imported: Imported{Name: name},
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
		im.sources = fetch.Sources{{Ref: from, Login: im.private}}
	}
	for _, s := range fetch.ParseSources(labels[LabelSources]) {
		im.sources = im.sources.With(s)
	}
	return im, nil
}

// isFor reports whether the image is known to be what ref stands for. An image of which
// nothing is known is what its name says.
func (im *candidate) isFor(ref image.Ref) bool {
	if len(im.sources) == 0 {
		return im.byHand
	}
	s, found := im.sources.Find(ref)
	return found && !s.Gone
}

// read returns the image of that name, nil if there is no such dataset.
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

// Beside is the dataset of an image with that digest where ref.Dataset is another
// image's.
func Beside(r image.Ref, d image.Digest) string { return besideStem(r) + "-" + d.Hex()[:besideDigits] }

// besideDigits is how much of a digest tells images of one name from each other.
const besideDigits = 16

// besideStem begins the names of such datasets, which are no longer than others.
func besideStem(r image.Ref) string {
	name := r.Dataset()
	return name[:min(len(name), image.MaxName-1-besideDigits)]
}
