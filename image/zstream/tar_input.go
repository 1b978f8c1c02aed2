package zstream

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
)

// tarBlock is the size of a header, and of each of the two blocks of zeros that end an
// archive (POSIX, pax, "ustar Interchange Format").
const tarBlock = 512

// tarInput detects the end of an archive: archive/tar accepts an archive that is cut off
// between two entries.
type tarInput struct {
	r     io.Reader
	n     int64
	zeros int64 // zero bytes at the end so far
	ended bool
}

// Read implements io.Reader.
func (t *tarInput) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	for i := n - 1; i >= -1; i-- {
		if i < 0 {
			t.zeros += int64(n)
		} else if p[i] != 0 {
			t.zeros = int64(n - 1 - i)
			break
		}
	}
	t.ended = t.ended || errors.Is(err, io.EOF)
	return n, err
}

// checkEnd returns an error if the archive does not end with at least one block of
// zeros: some programs write no more.
func (t *tarInput) checkEnd() error {
	if t.ended && t.zeros < tarBlock {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// errNoTar reports that the input is no tar archive from its first block on.
var errNoTar = errors.New("it is no tar archive")

// explain returns the cause for an archive that archive/tar cannot read. Errors of a
// decompressor pass unchanged.
func (t *tarInput) explain(err error) error {
	switch {
	case err == io.ErrUnexpectedEOF && t.n == 0:
		return fmt.Errorf("it is empty: %w", errNoTar)
	case err == io.ErrUnexpectedEOF && t.n < tarBlock, errors.Is(err, tar.ErrHeader) && t.n == tarBlock:
		return errNoTar
	case err == io.ErrUnexpectedEOF:
		return fmt.Errorf("the archive is cut off after %d bytes: %w", t.n, err)
	case errors.Is(err, tar.ErrHeader):
		return errors.New("its header is damaged")
	}
	return err
}
