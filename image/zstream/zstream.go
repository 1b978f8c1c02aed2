package zstream

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Stream describes a stream that was read.
type Stream struct {
	Top      string    // full name of the top dataset on the sending host
	Package  bool      // made by `zfs send -R` or `-I`: it begins with a list of its datasets
	Features []string  // stream features that a receiver must have, by their OpenZFS names
	Datasets []Dataset // in the order of the stream: the top dataset first
}

// Dataset is a file system in a stream, at the last of its snapshots there.
type Dataset struct {
	Name     string    // relative to the top dataset, whose Name is ""
	Snapshot string    // without the @
	GUID     uint64    // of the snapshot
	Created  time.Time // the snapshot, to the second

	// FromGUID identifies the snapshot that the first of Snapshots is incremental from;
	// it is 0 if that snapshot is sent whole. Origin, which only packages have,
	// identifies the snapshot that the dataset is a clone of.
	FromGUID  uint64
	Origin    uint64
	Snapshots []Snapshot // all in the stream, the oldest first

	// Properties come from the list of a package. A value is a uint64 or a string, as in
	// the list (zfsprops(7); numbers as in libzfs).
	Properties map[string]any

	Files int64 // names in its tree, of all types; 0 if its tree was not read
	Bytes int64 // of file content in the stream, without holes
}

// Snapshot is a snapshot of a dataset.
type Snapshot struct {
	Name       string
	GUID       uint64
	Created    time.Time      // to the second
	Properties map[string]any // see Dataset.Properties
}

// Options bound what a stream may use and name the streams that it builds on. A zero
// field has the default in its comment.
type Options struct {
	// Warn is called with each kind of metadata that was omitted from the trees, once
	// for each kind, with a count. It may be nil.
	Warn func(warning string)

	// Origins are the streams that this one is incremental from, the oldest first; each
	// is read to its end. An increment names objects by number and holds only changed
	// blocks, so the tree that was made of its origin is not enough. Reading the origins
	// again needs no state beside that tree.
	Origins []io.Reader

	// Scratch is the directory where Index and CopyVerified keep directories, attributes
	// and the content that ContentFilter selects until they return. "" means
	// os.TempDir().
	Scratch string

	Content *ContentFilter // selects the files whose content Index returns; nil selects none

	// CopyVerified calls Visit, if set, with every name in a dataset at each of its
	// snapshots, before it copies the END of that snapshot. An error of Visit ends the
	// copy.
	Visit func(Entry) error

	// NewList makes CopyVerified write a new list for a package: names, snapshots and
	// origins of its datasets, and the Properties that check left. Nothing else of the
	// original list is copied.
	NewList bool

	// SkipMissingOrigins makes Index and CopyVerified skip substreams whose origin
	// snapshot is not in Origins, instead of returning ErrNoOrigin. Such a dataset has
	// no entries.
	SkipMissingOrigins bool

	MaxObjects  int64 // objects staged at one time, and names in one dataset; 0 means DefaultMaxObjects
	MaxBytes    int64 // of content in each stream, decompressed; 0 means DefaultMaxBytes
	MaxDatasets int   // 0 means DefaultMaxDatasets
}

// Defaults for the bounds of Options. A FreeBSD base system has some 30,000 objects and
// a gigabyte of content; an object takes 56 bytes of memory while the stream is read.
const (
	DefaultMaxObjects  = 2 << 20
	DefaultMaxBytes    = 64 << 30
	DefaultMaxDatasets = 64
)

// withDefaults returns o with its zero fields replaced by their defaults.
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

// ErrNotStream reports that the input does not begin with a stream's BEGIN record.
var ErrNotStream = errors.New("not a ZFS send stream")

// ErrNoOrigin reports that a stream is incremental from a snapshot which none of
// Options.Origins holds.
var ErrNoOrigin = errors.New("what it is incremental from is not there")

// Error is an error at a record of a stream.
type Error struct {
	Record int64  // index of the record, from 0
	Offset int64  // of the record in the stream, in bytes
	Op     string // type of the record: "WRITE"
	Err    error
}

// Error returns the record's index, offset and type, and the cause.
func (e *Error) Error() string {
	return fmt.Sprintf("record %d at offset %d: %s: %v", e.Record, e.Offset, e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// unexpectedEOF turns io.EOF into io.ErrUnexpectedEOF, for input that must not end here.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
