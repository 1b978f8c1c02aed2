package xz

import (
	"errors"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	lib "github.com/mikelolasagasti/xz"
)

// maxDictionary bounds the decoder's memory, whatever a header asks for: `xz -9` uses
// 64 MiB.
const maxDictionary = 64 << 20

// NewReader decodes the xz streams in r, which may be padded and concatenated, as xz(1)
// does, on one core and with a dictionary of at most 64 MiB. Its Read ends in io.EOF only
// if r was xz from its first byte to its last and every check in it matched.
func NewReader(r io.Reader) io.Reader { return newReader(r, maxDictionary) }

// newReader is NewReader with dictionaries of at most that many bytes.
func newReader(r io.Reader, dictionary uint32) *reader {
	return &reader{src: &source{r: r}, dictionary: dictionary}
}

// reset makes the reader read another file, in the memory of the one before.
func (x *reader) reset(r io.Reader) {
	*x = reader{src: &source{r: r}, dictionary: x.dictionary, spare: x.z}
}

// reader wraps the library's decoder, with errors that say what is wrong and where.
type reader struct {
	src     *source
	z       *lib.Reader // nil until the first Read
	spare   *lib.Reader // of the file before, for its memory
	streams int         // read to their ends

	dictionary uint32 // bytes
	err        error  // returned by every Read from now on
}

// Read implements io.Reader. It decodes one stream after the other by itself, since the
// library's own multistream mode does not tell trailing garbage from a bad stream.
func (x *reader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, x.err
	}
	for n == 0 && x.err == nil {
		switch {
		case x.z != nil:
			n, err = x.z.Read(p)
		case x.spare != nil:
			x.z, x.spare = x.spare, nil
			err = x.z.Reset(x.src)
		default:
			x.z, err = lib.NewReader(x.src, x.dictionary)
		}
		if err == io.EOF {
			x.streams++
			err = x.z.Reset(nil)
		}
		if x.z != nil {
			x.z.Multistream(false)
		}
		x.err = x.explain(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, x.err
}

// explain returns the error to report for an error of the decoder.
func (x *reader) explain(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case x.src.err != nil && x.src.err != io.EOF:
		return x.src.err
	case x.src.n == 0:
		return errors.New("empty, not an xz file")
	case errors.Is(err, lib.ErrFormat) && x.streams == 0:
		return errors.New("not an xz file")
	case errors.Is(err, lib.ErrFormat), errors.Is(err, lib.ErrBuf) && x.streams > 0:
		return errors.New("something else after the end of the xz stream")
	case errors.Is(err, lib.ErrBuf):
		return fmt.Errorf("xz stream is cut off after %d bytes: %w", x.src.n, io.ErrUnexpectedEOF)
	case errors.Is(err, lib.ErrMemlimit):
		return fmt.Errorf("xz stream needs a dictionary of more than %s", humanize.IBytes(uint64(x.dictionary)))
	default: // ErrData, ErrOptions, ErrUnsupportedCheck, which begin with "xz: "
		return err
	}
}

// source is the input of the decoder. It never returns bytes together with io.EOF, for
// the decoder would overlook what follows a stream in them, and never returns 0 bytes
// without an error, which the decoder takes for the end.
type source struct {
	r   io.Reader
	n   int64 // bytes read
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (n int, err error) {
	for n == 0 && s.err == nil {
		n, s.err = s.r.Read(p)
	}
	s.n += int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, s.err
}
