package zstream

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// ContentFilter selects the files whose content Index returns in Entry.Content. It is
// for small files, such as a pot's configuration.
type ContentFilter struct {
	Dataset  string                 // Dataset.Name of the files' dataset
	Match    func(path string) bool // Entry.Path
	MaxBytes int64                  // of one file; larger files have no Content
}

// maxContentBytes bounds the content kept for a dataset, in bytes of whole blocks.
// Content precedes names in a stream, so all small files are kept until the names are
// known. Once the room is used up, further files are skipped.
const maxContentBytes = 64 << 20

// contentReserve is a stage's room for the content of small files.
type contentReserve struct {
	maxBytes int64 // of one file; 0 means that no content is kept
	room     int64 // bytes left for all files
}

// contentReserve returns the room for content of the dataset called name.
func (o Options) contentReserve(name string) contentReserve {
	if o.Content == nil || o.Content.Dataset != name || o.Content.Match == nil {
		return contentReserve{}
	}
	return contentReserve{o.Content.MaxBytes, maxContentBytes}
}

// reserve reserves room for a file of that size and block size and reports whether its
// content is kept.
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

// filteredContent returns the content of the file at path, or nil if it was not kept.
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
