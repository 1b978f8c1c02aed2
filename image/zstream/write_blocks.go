package zstream

import (
	"errors"
	"io"
)

// eachBlockOf calls f with each block of recordSize of r, which must have size bytes,
// except all-zero blocks. The last block may be shorter. data, if not nil, returns the
// start and end of the next data at or after an offset; holes before it are not read. f
// must not keep the block. It returns errModified if r is shorter.
func eachBlockOf(r io.ReaderAt, size int64, data func(from int64) (start, end int64, err error), f func(int64, []byte) error) error {
	buf := make([]byte, min(size, recordSize))
	start, end := int64(0), size
	for at := int64(0); at < size; at += recordSize {
		if data != nil && (at == 0 || at >= end) {
			var err error
			if start, end, err = data(at); err != nil {
				return err
			}
			if start >= size {
				return nil
			}
			at = max(at, start/recordSize*recordSize)
		}
		p := buf[:min(recordSize, size-at)]
		n, err := r.ReadAt(p, at)
		if n < len(p) {
			if err == nil || errors.Is(err, io.EOF) {
				err = errModified
			}
			return err
		}
		if allZero(p) {
			continue
		}
		if err := f(at, p); err != nil {
			return err
		}
	}
	return nil
}

var zeros [recordSize]byte

// allZero reports whether a block is all zeros, which ZFS stores as a hole.
func allZero(p []byte) bool { return string(p) == string(zeros[:len(p)]) }
