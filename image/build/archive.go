package build

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// archive reads a tar archive, plain or compressed; name is for errors. The caller must close
// the result, which has the contents in a file in Spool.
func (b *build) archive(ctx context.Context, name string, r io.Reader) (*zstream.Files, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	files, err := zstream.ReadTar(ctx, plain, zstream.TarOptions{Spool: b.Spool, Missing: b.Created})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return files, nil
}

// Sizes of a tar header (POSIX, pax), an lzma header, and the read buffer, in bytes.
const (
	tarHeader   = 512
	lzmaHeader  = 13
	archiveRead = 1 << 20
)

// decompress returns r decompressed; its first bytes show how it is compressed. It refuses
// compressed data within compressed data, which tar would report as damage.
func decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, archiveRead)
	kind, err := kindOfArchive(buffered)
	if err != nil || kind == "" {
		return buffered, err
	}
	var plain io.Reader
	switch kind {
	case "xz":
		plain = xz.NewReader(buffered)
	case "gzip":
		plain, err = gzip.NewReader(buffered)
	case "bzip2":
		plain = bzip2.NewReader(buffered)
	default:
		return nil, fmt.Errorf("%s is not supported; use a tar archive, plain or compressed with xz, gzip or bzip2", kind)
	}
	if err != nil {
		return nil, decompressError(kind, err)
	}
	inner := bufio.NewReaderSize(&decompressed{plain, kind}, archiveRead)
	twice, err := kindOfArchive(inner)
	if err == nil && twice != "" {
		err = fmt.Errorf("%s within %s is not supported; decompress it once", twice, kind)
	}
	return inner, err
}

// decompressed is decompressed data. It adds the kind of compression to errors.
type decompressed struct {
	io.Reader
	kind string
}

// Read implements io.Reader.
func (d *decompressed) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = decompressError(d.kind, err)
	}
	return n, err
}

// decompressError adds the kind of compression to err, unless err begins with it.
func decompressError(kind string, err error) error {
	switch {
	case err == io.ErrUnexpectedEOF || err == io.EOF:
		return fmt.Errorf("%s stream is cut off: %w", kind, io.ErrUnexpectedEOF)
	case strings.HasPrefix(err.Error(), kind):
		return err
	}
	return fmt.Errorf("%s: %w", kind, err)
}

// kindOfArchive returns how an archive is compressed, or what else it is, for an error; ""
// for a tar archive and for unknown contents, about which tar says more. It consumes nothing
// from r.
func kindOfArchive(r *bufio.Reader) (string, error) {
	start, err := r.Peek(tarHeader)
	if err != nil && !errors.Is(err, io.EOF) && len(start) == 0 {
		return "", err
	}
	if isTar(start) { // before the magics: the name of the first file may begin with one
		return "", nil
	}
	for _, m := range magics {
		if bytes.HasPrefix(start, []byte(m.begins)) {
			return m.kind, nil
		}
	}
	switch {
	case isLZMA(start):
		return "lzma compression", nil
	case len(start) > 3 && start[0]&0xf0 == 0x50 && string(start[1:4]) == "\x2a\x4d\x18": // a skippable frame (RFC 8878, 3.1.2)
		return "zstd or lz4 compression", nil
	case isUUEncoded(start):
		return "uuencoding", nil
	}
	return "", nil
}

// magics are the first bytes of other kinds of compression and of archives.
var magics = []struct{ begins, kind string }{
	{"\xfd7zXZ\x00", "xz"},
	{"\x1f\x8b", "gzip"},
	{"BZh", "bzip2"},
	{"\x28\xb5\x2f\xfd", "zstd compression"},
	{"\x04\x22\x4d\x18", "lz4 compression"},
	{"\x02\x21\x4c\x18", "lz4 compression"}, // the legacy frame
	{"LZIP", "lzip compression"},
	{"LRZI", "lrzip compression"},
	{"\x89LZO\x00\r\n\x1a\n", "lzop compression"},
	{"\x1f\x9d", "compress(1) compression"},
	{"\x1f\x1e", "pack(1) compression"},
	{"PK\x03\x04", "a zip archive"},
	{"PK\x05\x06", "a zip archive"}, // without a file
	{"7z\xbc\xaf\x27\x1c", "a 7z archive"},
	{"Rar!\x1a\x07", "a rar archive"},
	{"070701", "a cpio archive"},
	{"070702", "a cpio archive"},
	{"070707", "a cpio archive"},
	{"\xc7\x71", "a cpio archive"},
	{"\x71\xc7", "a cpio archive"},
	{"!<arch>\n", "an ar archive"},
	{"xar!", "a xar archive"},
	{"begin-base64 ", "uuencoding"},
}

// isTar reports whether a block is the header of an entry: it has its own checksum, of
// all bytes, with the bytes of the sum counted as blanks (POSIX, pax, "ustar Interchange Format").
func isTar(block []byte) bool {
	const at, size = 148, 8
	if len(block) < tarHeader {
		return false
	}
	want, err := strconv.ParseUint(strings.Trim(string(block[at:at+size]), " \x00"), 8, 32)
	if err != nil {
		return false
	}
	sum := uint64(size * ' ')
	for i, c := range block[:tarHeader] {
		if i < at || i >= at+size {
			sum += uint64(c)
		}
	}
	return sum == want
}

// isLZMA reports whether a file begins like a file of lzma(1), which has no magic number:
// the properties that lzma(1) always writes, the size of the dictionary, and the size of
// the content, which may be unknown.
func isLZMA(start []byte) bool {
	if len(start) < lzmaHeader || start[0] != 0x5d {
		return false
	}
	dictionary, size := binary.LittleEndian.Uint32(start[1:]), binary.LittleEndian.Uint64(start[5:])
	return dictionary >= 4<<10 && dictionary&0xfff == 0 && (size == 1<<64-1 || size < 1<<48)
}

// isUUEncoded reports whether a file begins like a file of uuencode(1): begin MODE NAME.
func isUUEncoded(start []byte) bool {
	rest, ok := bytes.CutPrefix(start, []byte("begin "))
	mode, _, blank := bytes.Cut(rest, []byte(" "))
	_, err := strconv.ParseUint(string(mode), 8, 12)
	return ok && blank && err == nil
}
