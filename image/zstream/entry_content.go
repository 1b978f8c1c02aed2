package zstream

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// Keep says which files Index is to tell the content of, in Entry.Content: small
// ones, as the configuration of a pot is.
type Keep struct {
	Dataset  string                 // Dataset.Name of where they are
	Match    func(path string) bool // Entry.Path
	MaxBytes int64                  // of one: the content of a larger one is passed over
}

// maxKeptFiles bounds what is kept of a dataset's files, in bytes of whole blocks.
// Content comes before names: until those are known, all small files are kept.
// Those that come when there is no more room are passed over.
const maxKeptFiles = 64 << 20

// keeping is what a stage keeps of small files, beside all else.
type keeping struct {
	maxBytes int64 // of one; 0: nothing is kept
	room     int64 // bytes, for all of them
}

// keeps is what is to be kept of the dataset called name.
func (o Options) keeps(name string) keeping {
	if o.Keep == nil || o.Keep.Dataset != name || o.Keep.Match == nil {
		return keeping{}
	}
	return keeping{o.Keep.MaxBytes, maxKeptFiles}
}

// take tells whether a file of that size, in such blocks, is to be kept.
func (k *keeping) take(size uint64, block uint32) bool {
	if k.maxBytes <= 0 || size > uint64(k.maxBytes) || block == 0 {
		return false
	}
	blocks := (int64(size) + int64(block) - 1) / int64(block)
	if k.room < blocks*int64(block) {
		return false
	}
	k.room -= blocks * int64(block)
	return true
}

// content is what is kept of a file at path; nil if that is nothing.
func (w *walk) content(path string, o *staged, n *node) ([]byte, error) {
	k := w.keep
	if k == nil || k.Dataset != w.dataset || k.Match == nil || !k.Match(path) {
		return nil, nil
	}
	if n.kind() != unix.S_IFREG || o.home != inJournal || n.size > k.MaxBytes {
		return nil, nil
	}
	data := make([]byte, n.size) // what was never written is zero
	if _, err := w.stage.content(o).ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}
