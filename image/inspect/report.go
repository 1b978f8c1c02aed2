package inspect

import (
	"fmt"
	"path"
	"strings"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/signify"
	"nomad-driver-pot/image/zstream"
)

// Report describes an image, and what in it would affect a host. Its JSON keys are an
// interface: add to them, but do not rename them.
type Report struct {
	File       string            `json:"file"`            // path or URL of the .xz
	Image      string            `json:"image,omitempty"` // NAME:TAG, from the name of the file
	Bytes      int64             `json:"bytes"`           // of the .xz
	Digest     string            `json:"digest,omitempty"`
	Verified   bool              `json:"verified"` // the digest
	Signature  signatureState    `json:"signature"`
	ClonedFrom string            `json:"cloned_from,omitempty"` // from its .meta
	Stream     streamState       `json:"stream"`
	Datasets   []inspectedSystem `json:"datasets"`
	Conf       *inspectedConf    `json:"conf,omitempty"` // pot.conf
	Warnings   []warning         `json:"warnings"`

	values   bool   // show values of the environment
	pot, tag string // the parts of Image
}

// signatureState describes an image's signature: verified with a key that was given, claimed
// by a .skein.sig that nothing verified, or none.
type signatureState struct {
	KeyNumber string `json:"key_number,omitempty"` // of signify(1)
	Verified  bool   `json:"verified"`
	Fault     string `json:"fault,omitempty"` // why the .skein.sig cannot be read

	looked bool // there was a check for a .skein.sig
}

// streamState describes the stream as a whole.
type streamState struct {
	Top      string   `json:"top"` // the dataset that was sent
	Features []string `json:"features"`
}

// inspectedSystem is a dataset of an image.
type inspectedSystem struct {
	Name            string         `json:"name"` // below Top
	Snapshot        string         `json:"snapshot"`
	Created         time.Time      `json:"created"`
	Snapshots       []string       `json:"snapshots"`                  // all in the stream, the oldest first
	IncrementalFrom string         `json:"incremental_from,omitempty"` // GUID of a snapshot
	Files           *int64         `json:"file_count,omitempty"`       // nil: not known without the origin
	Bytes           *int64         `json:"bytes,omitempty"`            // of file content in the stream
	Properties      map[string]any `json:"properties,omitempty"`
}

// New returns a report of the image at p, to be completed by AddFile and AddStream. If values,
// it shows the values of environment variables, which may be secrets.
func New(p fetch.Location, values bool) *Report {
	return &Report{File: p.String(), values: values, Warnings: []warning{}}
}

// AddFile adds what is known of the file itself. If blindly, f was opened without checks
// (fetch.Location.OpenUnverified), and only its size is known.
func (r *Report) AddFile(f *image.File, blindly bool) {
	r.Bytes = f.Bytes
	if blindly {
		return
	}
	r.Digest, r.Verified = f.Digest.String(), true
	if f.Meta != (image.Meta{}) {
		r.ClonedFrom = f.Meta.String()
	}
	if f.Key != nil {
		r.Signature = signatureState{KeyNumber: f.Key.String(), Verified: true}
	}
}

// Claim adds the key number that an unverified signature claims, nil if there is no
// signature, or the error of reading it.
func (s *signatureState) Claim(key *signify.KeyNumber, err error) {
	s.looked = true
	switch {
	case err != nil:
		s.Fault = err.Error()
	case key != nil:
		s.KeyNumber = key.String()
	}
}

// AddStream adds the contents of the image: s as zstream.Index returns it, and the files that
// it visited.
func (r *Report) AddStream(s *zstream.Stream, seen *Seen) {
	r.pot, r.tag = named(path.Base(r.File), path.Base(s.Top))
	if r.pot != "" {
		r.Image = r.pot + ":" + r.tag
	}
	r.Stream = streamState{s.Top, s.Features}
	for _, d := range s.Datasets {
		r.Datasets = append(r.Datasets, newSystem(d, seen))
	}
	r.readConf(seen)
	r.warn(s, seen)
}

// newSystem describes a dataset. Files and Bytes stay nil if its tree was not read, for want
// of its origin.
func newSystem(d zstream.Dataset, seen *Seen) inspectedSystem {
	i := inspectedSystem{Name: d.Name, Snapshot: d.Snapshot, Created: d.Created.UTC(), Properties: shownProperties(d.Properties)}
	for _, s := range d.Snapshots {
		i.Snapshots = append(i.Snapshots, s.Name)
	}
	if d.FromGUID != 0 {
		i.IncrementalFrom = fmt.Sprintf("%#x", d.FromGUID)
	}
	if n, known := seen.files[d.Name]; known {
		i.Files, i.Bytes = &n, &d.Bytes
	}
	return i
}

// named returns the pot's name and the tag in a file's name, "" if they are not clear. Both
// may contain an underscore: if the file's name begins with the name of the pot in the
// stream, that is the pot.
func named(file, pot string) (name, tag string) {
	stem, ok := strings.CutSuffix(file, ".xz")
	if !ok {
		return "", ""
	}
	if rest, ok := strings.CutPrefix(stem, pot+"_"); ok {
		name, tag = pot, rest
	} else if i := strings.LastIndexByte(stem, '_'); i > 0 {
		name, tag = stem[:i], stem[i+1:]
	}
	if (image.Ref{Source: "file:///", Name: name, Tag: tag}).Validate() != nil {
		return "", ""
	}
	return name, tag
}
