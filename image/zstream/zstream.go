// Package zstream reads ZFS send streams without ZFS: what `zfs send` and
// `zfs send -R` make of ZPL file systems, on any machine, as any user.
//
// It is made of layers, each of which knows only the one below: records with
// their checksums (record.go), the substreams of datasets (extract.go), objects
// staged on disk as they arrive (stage.go), what is in them: ZAPs (zap.go) and
// system attributes (sa.go), and the tree that they are (tree.go).
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
	Bytes    int64     // of content that the stream held
}

// Options bound what a stream may do, and say who is told what it cannot.
type Options struct {
	// Warn is told of what is left out of the trees, once for each kind and
	// dataset, with a count. It may be nil.
	Warn func(warning string)

	MaxObjects int64 // in one dataset; 0 is DefaultMaxObjects
	MaxBytes   int64 // of content in all; 0 is DefaultMaxBytes
}

// Bounds where Options has none. A FreeBSD base system is some 30,000 objects
// and a gigabyte.
const (
	DefaultMaxObjects = 1 << 20
	DefaultMaxBytes   = 64 << 30
	maxDatasets       = 64
)

// ErrNotStream is input that does not begin as a stream does.
var ErrNotStream = errors.New("not a ZFS send stream")

// Error is what is wrong with a stream, and where.
type Error struct {
	Record int64 // 0 is the first
	Offset int64 // of that record, in bytes
	What   string
	Err    error
}

// Error says all of it.
func (e *Error) Error() string {
	return fmt.Sprintf("zfs stream: record %d at offset %d: %s: %v", e.Record, e.Offset, e.What, e.Err)
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
