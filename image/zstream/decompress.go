package zstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compression is enum zio_compress (OpenZFS include/sys/zio_compress.h).
type compression uint8

// The compressions of content. gzip has nine values, one for each level.
const (
	compressNone compression = 0 // ZIO_COMPRESS_INHERIT: the record is not compressed
	compressOff  compression = 2
	compressLZJB compression = 3
	compressGzip compression = 5 // and up to 13
	compressZLE  compression = 14
	compressLZ4  compression = 15
	compressZstd compression = 16
)

// String returns the value of the property compression.
func (c compression) String() string {
	switch {
	case c == compressNone || c == compressOff:
		return "off"
	case c == compressLZJB:
		return "lzjb"
	case c >= compressGzip && c < compressZLE:
		return fmt.Sprintf("gzip-%d", c-compressGzip+1)
	case c == compressZLE:
		return "zle"
	case c == compressLZ4:
		return "lz4"
	case c == compressZstd:
		return "zstd"
	}
	return fmt.Sprintf("compression %d", uint8(c))
}

// feature returns the stream feature that c requires, or 0: the older ones predate
// features (module/zfs/dmu_recv.c, recv_check_compress_feature).
func (c compression) feature() uint64 {
	switch c {
	case compressLZ4:
		return featureLZ4
	case compressZstd:
		return featureZstd
	}
	return 0
}

// decompressor decompresses blocks. The next call overwrites the returned slice. The
// zero value is ready to use.
type decompressor struct {
	out   []byte
	frame []byte // for zstd
	zstd  *zstd.Decoder
	zlib  io.ReadCloser
}

// decompress returns the size bytes of a block; size must be at most maxPayload. It
// returns an error if packed decompresses to fewer bytes or more. For data that is not
// compressed it returns packed itself.
func (u *decompressor) decompress(c compression, packed []byte, size int) ([]byte, error) {
	if c == compressNone || c == compressOff {
		if len(packed) != size {
			return nil, fmt.Errorf("%d bytes that are not compressed, for %d", len(packed), size)
		}
		return packed, nil
	}
	if cap(u.out) < size {
		u.out = make([]byte, size)
	}
	out := u.out[:size]
	var err error
	switch {
	case c == compressLZ4:
		err = decompressLZ4(packed, out)
	case c == compressZstd:
		err = u.decompressZstd(packed, out)
	case c >= compressGzip && c < compressZLE:
		err = u.decompressGzip(packed, out)
	case c == compressLZJB:
		err = decompressLZJB(packed, out)
	case c == compressZLE:
		err = decompressZLE(packed, out)
	default:
		err = errors.New("it is not known")
	}
	if err != nil {
		return nil, fmt.Errorf("%v, of %d bytes to %d: %w", c, len(packed), size, err)
	}
	return out, nil
}

// lengthPrefixed returns the data behind a header that begins with its length, without
// the padding to sectors of blocks on disk.
func lengthPrefixed(packed []byte, header int) ([]byte, error) {
	if len(packed) < header {
		return nil, io.ErrUnexpectedEOF
	}
	size := binary.BigEndian.Uint32(packed)
	if uint64(size) > uint64(len(packed)-header) {
		return nil, fmt.Errorf("it says that it has %d bytes", size)
	}
	return packed[header : header+int(size)], nil
}

// sizeError reports a decompressed size that is not the expected one.
func sizeError(n int) error { return fmt.Errorf("there are %d", n) }

// decompressLZ4 reads a length of 4 bytes, big-endian, and one LZ4 block
// (module/zfs/lz4_zfs.c, zfs_lz4_decompress).
func decompressLZ4(packed, out []byte) error {
	data, err := lengthPrefixed(packed, 4)
	if err != nil {
		return err
	}
	n, err := lz4.UncompressBlock(data, out)
	if err == nil && n != len(out) {
		err = sizeError(n)
	}
	return err
}

// zstdMagic begins a frame of RFC 8878. ZFS omits it (module/zstd/zfs_zstd.c,
// ZSTD_f_zstd1_magicless).
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// decompressZstd reads a header of 8 bytes, length, version and level (zfs_zstdhdr_t,
// include/sys/zstd/zstd.h), and a frame.
func (u *decompressor) decompressZstd(packed, out []byte) error {
	data, err := lengthPrefixed(packed, 8)
	if err != nil {
		return err
	}
	if u.zstd == nil {
		u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return fmt.Errorf("internal error: %w", err)
		}
	}
	u.frame = append(append(u.frame[:0], zstdMagic...), data...)
	got, err := u.zstd.DecodeAll(u.frame, out[:0:len(out)])
	if err == nil && len(got) != len(out) {
		err = sizeError(len(got))
	}
	return err
}

// decompressGzip reads ZFS's gzip, which is the zlib format (RFC 1950).
func (u *decompressor) decompressGzip(packed, out []byte) (err error) {
	if u.zlib == nil {
		u.zlib, err = zlib.NewReader(bytes.NewReader(packed))
	} else {
		err = u.zlib.(zlib.Resetter).Reset(bytes.NewReader(packed), nil)
	}
	if err != nil {
		u.zlib = nil
		return err
	}
	if n, err := io.ReadFull(u.zlib, out); errors.Is(err, io.ErrUnexpectedEOF) {
		return sizeError(n)
	} else if err != nil {
		return err
	}
	// The data must end here; reading its end verifies its Adler-32.
	switch n, err := u.zlib.Read(make([]byte, 1)); {
	case n > 0:
		return errors.New("there are more")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// close releases the zstd decoder. It may be called twice.
func (u *decompressor) close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
}
