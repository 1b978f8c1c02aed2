package image

import (
	"context"
	"io"
	"os"

	"nomad-driver-pot/image/signify"
	"nomad-driver-pot/image/xz"
)

// Verified is what is known of an image whose digest is the right one.
type Verified struct {
	Digest  Digest
	Bytes   int64 // of the .xz
	Meta    Meta
	HasMeta bool               // false: older than pot 0.13, and the digest is of the .xz alone
	Key     *signify.KeyNumber // of the key that signed the digest; nil: no signature was asked for
}

// File is an image. It stays what was verified, whatever becomes of the cache or
// the place that it was read from.
type File struct {
	Verified
	XZ *os.File

	SkeinText, MetaText []byte // the .skein and the .meta; of a fetch.Location alone

	Private          bool // the image was fetched with credentials
	NeedsCredentials bool // the source that the image was asked from wants credentials
}

// Open reads the image, decoded, from its beginning. What it returns must be closed.
func (f *File) Open(ctx context.Context, o xz.Options) io.ReadCloser {
	return xz.Open(ctx, f.XZ, f.Bytes, o)
}

// Signed says who has signed the image, as was asked for.
func (f *File) Signed(t PullOptions) {
	if t.Key != nil {
		f.Key = &t.Key.Number
	}
}

// Close ends the use of the file, which stays where it is.
func (f *File) Close() error {
	if f.XZ == nil {
		return nil
	}
	return f.XZ.Close()
}
