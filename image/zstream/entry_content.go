package zstream

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// ContentFilter says which files Index is to tell the content of, in Entry.Content: small
// ones, as the configuration of a pot is.
type ContentFilter struct {
	Dataset  string                 // Dataset.Name of where they are
	Match    func(path string) bool // Entry.Path
	MaxBytes int64                  // of one: the content of a larger one is passed over
}

// maxContentBytes bounds what is kept of a dataset's files, in bytes of whole blocks.
// Content comes before names: until those are known, all small files are kept.
// Those that come when there is no more room are passed over.
const maxContentBytes = 64 << 20

// contentReserve is what a stage keeps of small files, beside all else.
type contentReserve struct {
	maxBytes int64 // of one; 0: nothing is kept
	room     int64 // bytes, for all of them
}

// contentReserve is what is to be kept of the dataset called name.
func (o Options) contentReserve(name string) contentReserve {
	if o.Content == nil || o.Content.Dataset != name || o.Content.Match == nil {
		return contentReserve{}
	}
	return contentReserve{o.Content.MaxBytes, maxContentBytes}
}

// reserve tells whether a file of that size, in such blocks, is to be kept.
func (k *contentReserve) reserve(size uint64, block uint32) bool {
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

// filteredContent is what is kept of a file at path; nil if that is nothing.
func (w *walker) filteredContent(path string, o *dnode, n *znode) ([]byte, error) {
	k := w.filter
	if k == nil || k.Dataset != w.dataset || k.Match == nil || !k.Match(path) {
		return nil, nil
	}
	if n.fileType() != unix.S_IFREG || o.storage != storedInJournal || n.size > k.MaxBytes {
		return nil, nil
	}
	data := make([]byte, n.size) // what was never written is zero
	if _, err := w.stage.content(o).ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}
