// Package zstream reads and writes ZFS send streams without ZFS: what `zfs send`
// and `zfs send -R` make of ZPL file systems, on any machine, as any user.
//
// It is made of layers, each of which knows only those below: records and their
// checksums (record.go), what a BEGIN says (begin.go) and the list of a package
// (nvlist.go, pack.go), objects staged on disk as they arrive (stage.go), what is
// in them, ZAPs (zap.go, leaf.go) and attributes (sa.go, node.go), and the tree
// that they are (tree.go, place.go). extract.go goes through a stream with them.
//
// The writer has the same layers in files that begin with write: a tree of files
// (write_files.go) from a directory or an archive (write_dir.go, write_tar.go),
// what its objects are (write_zap.go, write_leaf.go, write_sa.go), their records
// (write_record.go), and the package of datasets (write.go, write_dataset.go).
//
// A stream is untrusted, and so is every number and name in it. What the package
// does not know, or knows and does not do yet, it refuses by name, with the
// record and the offset where it stands.
package zstream

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Stream is what was read.
type Stream struct {
	Datasets []Dataset // in the stream's order: the top one first
}

// Dataset is a file system in a stream, at its one snapshot.
type Dataset struct {
	Name     string    // below the top dataset, which is ""
	Snapshot string    // without the @
	GUID     uint64    // of the snapshot
	Created  time.Time // the snapshot, to the second
	Files    int64     // names in its tree, of all kinds
	Bytes    int64     // of its files' content that the stream held: no holes
}

// Options bound what a stream may do, and say who is told what it cannot.
type Options struct {
	// Warn is told of what is left out of the trees, once for each kind, with a
	// count. It may be nil.
	Warn func(warning string)

	MaxObjects  int64 // in one dataset, and names in it; 0 is DefaultMaxObjects
	MaxBytes    int64 // of content in all; 0 is DefaultMaxBytes
	MaxDatasets int   // 0 is DefaultMaxDatasets
}

// Bounds where Options has none. A FreeBSD base system is some 30,000 objects
// and a gigabyte; an object takes 48 bytes of memory while its dataset is read.
const (
	DefaultMaxObjects  = 2 << 20
	DefaultMaxBytes    = 64 << 30
	DefaultMaxDatasets = 64
)

// withDefaults is o with nothing left at zero.
func (o Options) withDefaults() Options {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.MaxObjects == 0 {
		o.MaxObjects = DefaultMaxObjects
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxDatasets == 0 {
		o.MaxDatasets = DefaultMaxDatasets
	}
	return o
}

// ErrNotStream is input that does not begin as a stream does.
var ErrNotStream = errors.New("not a ZFS send stream")

// Error is what went wrong with a stream, and where in it.
type Error struct {
	Record int64  // the first is 0
	Offset int64  // of that record, in bytes
	Op     string // what the record is: "WRITE"
	Err    error
}

// Error says all of it.
func (e *Error) Error() string {
	return fmt.Sprintf("record %d at offset %d: %s: %v", e.Record, e.Offset, e.Op, e.Err)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// cut is io.ErrUnexpectedEOF for what ends where more was to come.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
