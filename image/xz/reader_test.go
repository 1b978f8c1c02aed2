package xz_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os/exec"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
)

// decode reads all of b from several kinds of readers, which must agree.
func decode(t *testing.T, b []byte) ([]byte, error) {
	t.Helper()
	got, err := io.ReadAll(xz.NewReader(bytes.NewReader(b)))
	for name, r := range map[string]io.Reader{
		"one byte at a time":     iotest.OneByteReader(bytes.NewReader(b)),
		"the end with the bytes": iotest.DataErrReader(bytes.NewReader(b)),
		"nothing now and then":   &hesitant{r: bytes.NewReader(b)},
	} {
		other, otherErr := io.ReadAll(xz.NewReader(r))
		must.True(t, bytes.Equal(got, other), must.Sprint(name))
		must.Eq(t, fmt.Sprint(err), fmt.Sprint(otherErr), must.Sprint(name))
	}
	return got, err
}

// hesitant returns no bytes and no error three times before each read.
type hesitant struct {
	r io.Reader
	n int
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.n++; h.n%4 != 0 {
		return 0, nil
	}
	return h.r.Read(p)
}

func TestReader(t *testing.T) {
	leak.Check(t)
	data := bytes.Repeat([]byte("all work and no play\n"), 10000)
	good := imagetest.XZ(data)

	t.Run("a stream decodes to its data", func(t *testing.T) {
		for _, want := range [][]byte{nil, {'x'}, data} {
			got, err := decode(t, imagetest.XZ(want))
			must.NoError(t, err)
			must.True(t, bytes.Equal(want, got))
		}
	})
	t.Run("streams may be padded and follow each other", func(t *testing.T) {
		got, err := decode(t, slices.Concat(good, make([]byte, 8), good, make([]byte, 4)))
		must.NoError(t, err)
		must.True(t, bytes.Equal(slices.Concat(data, data), got))
	})
	t.Run("a Read after the end returns io.EOF again", func(t *testing.T) {
		r := xz.NewReader(bytes.NewReader(good))
		_, err := io.Copy(io.Discard, r)
		must.NoError(t, err)
		_, err = r.Read(make([]byte, 1))
		must.Eq(t, io.EOF, err)
	})
	t.Run("every truncation is an error", func(t *testing.T) {
		short := imagetest.XZ([]byte("short"))
		for n := range len(short) {
			_, err := decode(t, short[:n])
			must.Error(t, err, must.Sprintf("%d of %d bytes", n, len(short)))
			if n > 0 {
				must.ErrorIs(t, err, io.ErrUnexpectedEOF, must.Sprintf("%d of %d bytes", n, len(short)))
			}
		}
	})
	t.Run("every flipped bit is an error", func(t *testing.T) {
		short := imagetest.XZ([]byte("short"))
		for i := range 8 * len(short) {
			bad := slices.Clone(short)
			bad[i/8] ^= 1 << (i % 8)
			_, err := decode(t, bad)
			must.Error(t, err, must.Sprintf("bit %d", i))
		}
	})
	t.Run("an error of the file is returned unchanged", func(t *testing.T) {
		broken := errors.New("read pots: input/output error")
		r := io.MultiReader(bytes.NewReader(good[:100]), iotest.ErrReader(broken))
		_, err := io.ReadAll(xz.NewReader(r))
		must.Eq(t, broken, err)
	})
}

func TestReader_errors(t *testing.T) {
	leak.Check(t)
	good := imagetest.XZ([]byte("content"))
	flipped := slices.Clone(good)
	flipped[26] ^= 1
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"an empty file":          {nil, "empty, not an xz file"},
		"text":                   {[]byte("this is not an xz file, but is as long as one"), "not an xz file"},
		"gzip":                   {append([]byte{0x1f, 0x8b}, make([]byte, 100)...), "not an xz file"},
		"half a file":            {good[:len(good)/2], "xz stream is cut off after 32 bytes: unexpected EOF"},
		"a flipped bit":          {flipped, "xz: data is corrupt"},
		"garbage after it":       {append(slices.Clone(good), "garbage, more than a header of it"...), "something else after the end of the xz stream"},
		"a byte after it":        {append(slices.Clone(good), 'x'), "something else after the end of the xz stream"},
		"one zero after it":      {append(slices.Clone(good), 0), "xz: data is corrupt"},
		"half a stream after it": {append(slices.Clone(good), good[:20]...), "something else after the end of the xz stream"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(t, c.file)
			must.EqError(t, err, c.want)
		})
	}
	t.Run("a dictionary larger than 64 MiB is refused", func(t *testing.T) {
		// The block's header begins after the stream's 12 bytes and ends in
		// its CRC32. Dictionary 28 is 64 MiB, 30 is 128.
		big := slices.Clone(good)
		big[16] = 30
		binary.LittleEndian.PutUint32(big[20:], crc32.ChecksumIEEE(big[12:20]))
		_, err := decode(t, big)
		must.EqError(t, err, "xz stream needs a dictionary of more than 64 MiB")
	})
}

// TestReader_hello compares with xz(1).
func TestReader_hello(t *testing.T) {
	leak.Check(t)
	found, err := exec.LookPath("xz")
	need.Have(t, "xz", err == nil)
	cmd := exec.CommandContext(t.Context(), found, "-dc")
	cmd.Stdin = bytes.NewReader(imagetest.Hello(""))
	want, err := cmd.Output()
	must.NoError(t, err)
	h := sha256.New()
	n, err := io.Copy(h, xz.NewReader(bytes.NewReader(imagetest.Hello(""))))
	must.NoError(t, err)
	must.Eq(t, int64(len(want)), n)
	sum := sha256.Sum256(want)
	must.Eq(t, sum[:], h.Sum(nil))
}
