package zstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
)

// sink receives the substreams of a stream. An error of a method ends the reading.
type sink interface {
	// begin starts a substream, as described by its BEGIN and the list of the package.
	// clones counts the clones of each snapshot in the package that are still to come;
	// the sink may count down in it.
	begin(b beginRecord, clones map[uint64]int) error

	// record applies a record of the substream and returns how many bytes of file
	// content it holds. rec is valid until it returns.
	record(rec *record) (content int64, err error)

	// end is called when the whole substream is verified.
	end() error
}

// streamReader reads one stream and passes its records to a sink.
type streamReader struct {
	*recordReader
	sink         sink
	options      Options
	stream       *Stream
	contents     *packageList // the list of a package
	features     uint64
	contentBytes int64 // bytes of content read so far
}

// readStream reads all of a stream: one substream, or a package of them.
func readStream(ctx context.Context, r io.Reader, o Options, s sink) (*streamReader, error) {
	x := &streamReader{recordReader: newRecordReader(ctx, r), sink: s, options: o, stream: &Stream{}}
	return x, x.readAll()
}

// readAll reads the stream to its end, after which nothing may follow.
func (x *streamReader) readAll() error {
	rec, err := x.read()
	if err != nil {
		return err
	}
	b, err := parseBegin(rec)
	if err != nil {
		return x.wrap(err)
	}
	x.stream.Top = b.dataset
	if b.headerType == substream {
		err = x.readSubstream(b)
	} else {
		err = x.readPackage(rec)
	}
	if err == nil {
		err = x.checkEOF()
	}
	x.stream.Features = namesOf(x.features)
	return err
}

// readPackage reads a package: its list, whose BEGIN is rec, then substreams up to an
// END outside of any. Every substream must be listed, and every listed one must arrive:
// a package cut between two datasets and ended again is not what was sent.
func (x *streamReader) readPackage(rec *record) (err error) {
	x.stream.Package = true
	if x.contents, err = parsePackageList(rec.payload); err != nil {
		return x.wrap(err)
	}
	if rec, err = x.read(); err != nil {
		return err
	}
	if rec.typ != drrEnd {
		return x.errorf("it is within the list of a package")
	}
	for {
		if rec, err = x.read(); err != nil {
			return err
		}
		if rec.typ == drrEnd {
			return x.wrap(x.contents.checkComplete(x.stream.Datasets))
		}
		b, err := parseBegin(rec)
		if err == nil && b.headerType != substream {
			err = errors.New("it begins a package within a package")
		}
		if err == nil {
			err = x.contents.checkListed(&b)
		}
		if err != nil {
			return x.wrap(err)
		}
		if err := x.readSubstream(b); err != nil {
			return err
		}
	}
}

// readSubstream reads a substream up to its END.
func (x *streamReader) readSubstream(b beginRecord) (err error) {
	if b.Name, err = relativeName(x.stream.Top, b.dataset); err != nil {
		return x.wrap(err)
	}
	known, err := x.checkOrder(&b)
	if err != nil {
		return x.wrap(err)
	}
	x.features |= b.features
	var clones map[uint64]int
	if x.contents != nil {
		clones = x.contents.origins
	}
	if err := x.sink.begin(b, clones); err != nil {
		return x.wrap(err)
	}
	content, err := x.readRecords(b.GUID)
	if err == nil {
		err = x.sink.end()
	}
	if err != nil {
		return x.wrap(err)
	}
	if known == nil {
		x.stream.Datasets = append(x.stream.Datasets, b.Dataset)
		known = &x.stream.Datasets[len(x.stream.Datasets)-1]
	} else {
		known.Snapshot, known.GUID, known.Created = b.Snapshot, b.GUID, b.Created
		known.Snapshots = append(known.Snapshots, b.Snapshots...)
	}
	known.Bytes += content
	return nil
}

// checkOrder refuses a dataset before its parent, a repeated dataset, and too many
// datasets. It returns the known dataset if the substream is its next snapshot.
func (x *streamReader) checkOrder(b *beginRecord) (known *Dataset, err error) {
	find := func(name string) int {
		return slices.IndexFunc(x.stream.Datasets, func(d Dataset) bool { return d.Name == name })
	}
	above := path.Dir(b.Name)
	if above == "." {
		above = ""
	}
	if at := find(b.Name); at >= 0 {
		known = &x.stream.Datasets[at]
	}
	switch {
	case known != nil && b.FromGUID == 0:
		return nil, fmt.Errorf("dataset %q comes twice", b.dataset)
	case known != nil && b.FromGUID != known.GUID:
		return nil, fmt.Errorf("%s@%s is incremental from snapshot %#x, not from the one before it", b.dataset, b.Snapshot, b.FromGUID)
	case known != nil && len(known.Snapshots) >= maxSnapshots:
		return nil, fmt.Errorf("dataset %q has more than %d snapshots", b.dataset, maxSnapshots)
	case known == nil && len(x.stream.Datasets) >= x.options.MaxDatasets:
		return nil, fmt.Errorf("there are more than %d datasets", x.options.MaxDatasets)
	case known == nil && b.Name != "" && find(above) < 0:
		return nil, fmt.Errorf("dataset %q comes before %q", b.dataset, path.Join(x.stream.Top, above))
	}
	return known, nil
}

// maxSnapshots bounds the snapshots of a dataset in one stream.
const maxSnapshots = 4096

// readRecords reads the records of a substream up to its END (struct drr_end: checksum
// 0, toguid 32) and returns how many bytes of file content they hold.
func (x *streamReader) readRecords(guid uint64) (content int64, err error) {
	for {
		rec, err := x.read()
		if err != nil {
			return 0, err
		}
		if x.contentBytes += contentSize(rec); x.contentBytes > x.options.MaxBytes {
			return 0, x.errorf("there are more than %d bytes of content", x.options.MaxBytes)
		}
		if rec.typ == drrEnd {
			if rec.u64(32) != guid { // drr_toguid
				return 0, x.errorf("it ends snapshot %#x, not %#x", rec.u64(32), guid)
			}
			return content, nil
		}
		written, err := x.sink.record(rec)
		if err != nil {
			return 0, x.wrap(err)
		}
		content += written
	}
}

// contentSize returns the decompressed size of a record's data, in bytes, or the size of
// its payload if that is larger: MaxBytes bounds both.
func contentSize(rec *record) int64 {
	size := uint64(0)
	switch rec.typ {
	case drrWrite:
		size = rec.u64(24) // drr_logical_size
	case drrWriteEmbedded:
		size = rec.u64(16) // drr_length
	}
	return int64(max(min(size, maxPayload), uint64(len(rec.payload))))
}
