package zstream

import (
	"errors"
	"io"
)

// eachBlockOf calls f with each block of recordSize of r, which has size bytes,
// that is not all zeros. data, if there is one, tells where after an offset the
// next is that was written, and where that ends: what is before is not read.
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

// zeros are compared with.
var zeros [recordSize]byte

// allZero tells whether a block is a hole, as ZFS takes it for one.
func allZero(p []byte) bool { return string(p) == string(zeros[:len(p)]) }
