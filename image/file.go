package image

import (
	"io"
	"os"

	"nomad-driver-pot/image/signify"
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
	xz *os.File
}

// Open reads the image, decoded, from its beginning.
func (f *File) Open() io.Reader { return f.OpenCounted(nil) }

// OpenCounted is Open, with count told how much of the .xz has been read.
func (f *File) OpenCounted(count Count) io.Reader {
	var xz io.Reader = io.NewSectionReader(f.xz, 0, f.Bytes)
	if count != nil {
		xz = &counted{r: xz, total: f.Bytes, count: count}
	}
	return NewXZReader(xz)
}

// Close ends the use of the file, which stays where it is.
func (f *File) Close() error {
	if f.xz == nil {
		return nil
	}
	return f.xz.Close()
}

// counted tells of what is read.
type counted struct {
	r           io.Reader
	done, total int64
	count       Count
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.count(c.done, c.total)
	return n, err
}
