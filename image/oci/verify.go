package oci

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"nomad-driver-pot/image/xz"
)

// verifier reads a blob and ends in an error, in place of io.EOF, if that does not have its
// digest or its size. A size of -1 is not known.
type verifier struct {
	r    io.Reader
	hash hash.Hash
	want v1.Hash
	size int64
	n    int64
	done bool
}

func newVerifier(r io.Reader, want v1.Hash, size int64) *verifier {
	return &verifier{r: r, hash: sha256.New(), want: want, size: size}
}

// Read implements io.Reader.
func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.n += int64(n)
	if v.size >= 0 && v.n > v.size {
		return 0, fmt.Errorf("has more than the %d bytes that the image says", v.size)
	}
	v.hash.Write(p[:n])
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if v.size >= 0 && v.n < v.size {
		return n, fmt.Errorf("has %d bytes, and not the %d that the image says", v.n, v.size)
	}
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.want.Hex {
		return n, fmt.Errorf("is not what the image says: want %s, got sha256:%s of %d bytes", v.want, got, v.n)
	}
	v.done = true
	return n, err
}

// checkDigest returns an error for a digest that cannot be verified.
func checkDigest(h v1.Hash) error {
	if h.Algorithm != "sha256" || len(h.Hex) != hex.EncodedLen(sha256.Size) {
		return fmt.Errorf("digest %.80q: only sha256 is supported", h.String())
	}
	return nil
}

// bounded ends in an error after left bytes, which several readers may share, and with ctx.
type bounded struct {
	ctx  context.Context
	r    io.Reader
	left *int64
}

// errTooLarge reports that layers, or an archive, have more bytes than is allowed.
var errTooLarge = errors.New("is larger than allowed when it is decompressed")

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	n, err := b.r.Read(p)
	if *b.left -= int64(n); *b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// readAhead is the size of buffers, in bytes.
const readAhead = 1 << 20

// maxZstdWindow bounds the memory of a decoder. It is what zstd(1) decodes without a flag.
const maxZstdWindow = 128 << 20

// decompress returns the content of r, which it recognises by its first bytes: gzip, zstd, xz, or
// plain, for which it returns r itself. The caller must call the function after the last read.
func decompress(r *bufio.Reader) (io.Reader, func(), error) {
	start, err := r.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case len(start) > 2 && string(start[:2]) == "\x1f\x8b":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, damaged("gzip", err)
		}
		return compressed{z, "gzip"}, func() { z.Close() }, nil
	case strings.HasPrefix(string(start), "\x28\xb5\x2f\xfd"):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, nil, damaged("zstd", err)
		}
		return compressed{z, "zstd"}, z.Close, nil
	case string(start) == "\xfd7zXZ\x00":
		return xz.NewReader(r), func() {}, nil
	}
	return r, func() {}, nil
}

// compressed is compressed data that is decompressed. It adds the kind to errors of its own.
type compressed struct {
	io.Reader
	kind string
}

// Read implements io.Reader.
func (c compressed) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(c.kind, err)
	}
	return n, err
}

// damaged returns the error for compressed data that cannot be read.
func damaged(kind string, err error) error {
	for _, of := range []error{gzip.ErrHeader, gzip.ErrChecksum, zstd.ErrCRCMismatch, zstd.ErrMagicMismatch, zstd.ErrWindowSizeExceeded, zstd.ErrReservedBlockType} {
		if errors.Is(err, of) {
			return fmt.Errorf("its %s data is damaged: %w", kind, err)
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return fmt.Errorf("its %s data is cut off: %w", kind, io.ErrUnexpectedEOF)
	}
	return err
}
