package xz

import (
	"errors"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	lib "github.com/mikelolasagasti/xz"
)

// maxDictionary bounds the decoder's memory, whatever a header asks for: 64 MiB
// is what xz -9 uses.
const maxDictionary = 64 << 20

// NewReader decodes the xz streams in r, which may be padded and follow each
// other, as xz(1) does. Its Read ends in io.EOF only when r was xz from its
// first byte to its last and every check in it was right.
func NewReader(r io.Reader) io.Reader { return newReader(r, maxDictionary) }

// newReader has a dictionary of that many bytes at most.
func newReader(r io.Reader, dictionary uint32) *reader {
	return &reader{src: &source{r: r}, dictionary: dictionary}
}

// again has it read another file.
func (x *reader) again(r io.Reader) {
	*x = reader{src: &source{r: r}, dictionary: x.dictionary, old: x.z}
}

// reader adds to the decoder what it found wrong, and where.
type reader struct {
	src     *source
	z       *lib.Reader // nil until the first Read
	old     *lib.Reader // of another file, whose memory is used again
	streams int         // that have ended

	dictionary uint32 // bytes
	err        error  // what every Read returns from now on
}

func (x *reader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, x.err
	}
	for n == 0 && x.err == nil {
		switch {
		case x.z != nil:
			n, err = x.z.Read(p)
		case x.old != nil:
			x.z, x.old = x.old, nil
			err = x.z.Reset(x.src)
		default:
			x.z, err = lib.NewReader(x.src, x.dictionary)
		}
		if err == io.EOF {
			// One stream at a time, to tell a bad one from what follows one.
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

// explain says what an error of the decoder means.
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
	default: // ErrData, ErrOptions, ErrUnsupportedCheck: they begin with "xz: "
		return err
	}
}

// source is what the decoder reads. It never gives bytes and io.EOF at once:
// the decoder would overlook what follows a stream in the last bytes it gets.
// Nor does it give nothing at all, which the decoder takes for the end.
type source struct {
	r   io.Reader
	n   int64 // bytes given
	err error
}

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
