// Package zstream reads and writes ZFS send streams without ZFS: what `zfs send`
// makes of ZPL file systems, full and incremental, alone and in packages (`-R`,
// `-I`), of any record size, compressed or not, from machines of either byte order.
// It does so on any machine, as any user.
//
// It is made of layers, each of which knows only those below: records and their
// checksums (record.go, payload.go), what a BEGIN says (begin.go, feature.go) and
// the list of a package (nvlist.go, pack.go), how a stream goes together
// (reading.go); objects staged on disk as they arrive (rules.go, stage.go,
// content.go, again.go, journal.go, decompress.go, lzjb.go) and the snapshots that
// they come to (library.go); what is in them, ZAPs (zap.go, leaf.go) and attributes
// (sa.go, node.go, znode.go, acl.go, xattr.go, flags.go), as files with names
// (files.go); and what is made of those: a tree (tree.go, place.go, extract.go), an
// index (index.go, keep.go), or no more than a survey (survey.go).
//
// The writer has the same layers in files that begin with write: a tree of files
// (write_files.go) from a directory or an archive (write_dir.go, write_tar.go),
// what its objects are (write_zap.go, write_leaf.go, write_sa.go), their records
// (write_record.go), and the package of datasets (write.go, write_dataset.go, write_list.go).
//
// A stream is untrusted, and so is every number and name in it. What the package
// does not know, or leaves to others, it refuses by name, with the record and the
// offset where it stands: encrypted (raw), deduplicated, redacted and resumed
// streams, and volumes.
package zstream

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Stream is what was read.
type Stream struct {
	Top      string    // the whole name of the top dataset, where the stream was made
	Package  bool      // it is of `zfs send -R` or `-I`, with a list of what it holds
	Features []string  // what its datasets need of a receiver, by ZFS's names
	Datasets []Dataset // in the stream's order: the top one first
}

// Dataset is a file system in a stream, at the last snapshot that is in it.
type Dataset struct {
	Name     string    // below the top dataset, which is ""
	Snapshot string    // without the @
	GUID     uint64    // of the snapshot
	Created  time.Time // the snapshot, to the second

	// FromGUID is of the snapshot that the first of the Snapshots is incremental
	// from; 0 if that is whole. Origin, in packages, is of the snapshot that the
	// dataset was a clone of.
	FromGUID  uint64
	Origin    uint64
	Snapshots []Snapshot // all in the stream, the oldest first

	// Properties are those in the list of a package: each a uint64 or a string, as
	// it stands there (zfsprops(7); the numbers are those of libzfs).
	Properties map[string]any

	Files int64 // names in its tree, of all kinds; 0 where no tree was made of it
	Bytes int64 // of its files' content that the stream held: no holes
}

// Snapshot is one of a dataset's.
type Snapshot struct {
	Name       string
	GUID       uint64
	Created    time.Time      // to the second
	Properties map[string]any // as those of Dataset
}

// Options bound what a stream may do, and say what it builds on.
type Options struct {
	// Warn is told of what is left out of the trees, once for each kind, with a
	// count. It may be nil.
	Warn func(warning string)

	// Origins are the streams that this one is incremental from, the oldest first;
	// each is read to its end. An increment names objects by number, and has only
	// those of their blocks that have changed: the tree that was made of its origin
	// is not enough. So the origins are read again, which needs nothing to be kept
	// beside a tree, and be in step with it, but what it was made of.
	Origins []io.Reader

	// Scratch is where Index keeps what it needs until it is done: directories and
	// attributes, and of the content of files what Keep asks for. "" is os.TempDir's.
	Scratch string

	Content *ContentFilter // of which files Index tells the content; nil: of none

	// Visit is called by Pass with every name in a dataset, at each of its snapshots,
	// before the end of that is passed on; it may be nil. Its error ends it.
	Visit func(Entry) error

	// NewList has Pass write the list of a package anew: the names, snapshots and
	// origins of its datasets, and the Properties that check left in them. Nothing else
	// of the list that came is passed on, read or not.
	NewList bool

	// SkipMissingOrigins has Index and Pass pass over what is incremental from snapshots that are in
	// none of the Origins, in place of ErrNoOrigin: such a dataset has no entries.
	SkipMissingOrigins bool

	MaxObjects  int64 // held at one time, and names in one dataset; 0 is DefaultMaxObjects
	MaxBytes    int64 // of content in each stream, unpacked; 0 is DefaultMaxBytes
	MaxDatasets int   // 0 is DefaultMaxDatasets
}

// Bounds where Options has none. A FreeBSD base system is some 30,000 objects
// and a gigabyte; an object takes 56 bytes of memory while the stream is read.
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

// ErrNoOrigin is a stream that is incremental from a snapshot which is in none of
// Options.Origins.
var ErrNoOrigin = errors.New("what it is incremental from is not there")

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

// unexpectedEOF is io.ErrUnexpectedEOF for what ends where more was to come.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
