package image

import (
	"context"
	"io"
	"os"

	"nomad-driver-pot/image/signify"
	"nomad-driver-pot/image/xz"
)

// Verified describes an image whose digest was verified.
type Verified struct {
	Digest  Digest
	Bytes   int64 // of the .xz
	Meta    Meta
	HasMeta bool               // false: older than pot 0.13, and the digest covers only the .xz
	Key     *signify.KeyNumber // of the key that signed the digest; nil: no key was required
}

// File is an open image. Its contents stay what was verified, whatever happens to the cache
// or the location that it came from.
type File struct {
	Verified
	XZ *os.File

	SkeinText, MetaText []byte // the .skein and the .meta; of a fetch.Location alone

	Private          bool // the image was fetched with credentials
	NeedsCredentials bool // the source that the image was asked from wants credentials
}

// Open returns a reader of the image, decoded, from its beginning. The caller must close
// it.
func (f *File) Open(ctx context.Context, o xz.Options) io.ReadCloser {
	return xz.Open(ctx, f.XZ, f.Bytes, o)
}

// Signed sets Key to the key that the options require, whose signature was verified.
func (f *File) Signed(t PullOptions) {
	if t.Key != nil {
		f.Key = &t.Key.Number
	}
}

// Close closes the file, and does not remove it.
func (f *File) Close() error {
	if f.XZ == nil {
		return nil
	}
	return f.XZ.Close()
}
