package zstream

import (
	"context"
	"io"
	"maps"
	"slices"
)

// Survey reads all of the stream r and tells what datasets and snapshots are in
// it, with the properties that a package lists. Every checksum is made sure of, and
// that what is announced comes; what the datasets hold is not looked at. Options
// that it needs are MaxBytes and MaxDatasets.
func Survey(ctx context.Context, r io.Reader, o Options) (*Stream, error) {
	x, err := readStream(ctx, r, o.withDefaults(), discardSink{})
	if err != nil {
		return nil, err
	}
	return x.stream, nil
}

// discardSink is a sink that nothing stays in.
type discardSink struct{}

func (discardSink) begin(beginRecord, map[uint64]int) error { return nil }
func (discardSink) record(*record) (int64, error)           { return 0, nil }
func (discardSink) end() error                              { return nil }

// Head reads no more than the beginning of the stream r: of a package its list, of
// which it tells all datasets, sorted, with no Created; else the one dataset. The
// list's checksum is in what follows it, and so not made sure of. It is for saying
// early what will be refused; Survey is for what is to be relied on. Some of r
// beyond what was needed may have been read.
func Head(ctx context.Context, r io.Reader) (*Stream, error) {
	h, err := readHead(ctx, r)
	return h.stream, err
}

// head is the first record of a stream.
type head struct {
	beginRecord
	stream *Stream // what Head returns

	to   string            // of a package: the snapshot that it is sent up to; "" if it does not say
	keys map[string]string // and under what name its list has a dataset, by Dataset.Name
}

// readHead reads no more than the first record.
func readHead(ctx context.Context, r io.Reader) (h head, err error) {
	rs := newRecordReader(ctx, r)
	rec, err := rs.read()
	if err != nil {
		return h, err
	}
	if h.beginRecord, err = parseBegin(rec); err != nil {
		return h, rs.wrap(err)
	}
	s := &Stream{Top: h.dataset, Features: namesOf(h.features)}
	if h.headerType == substream {
		s.Datasets = []Dataset{h.Dataset}
		h.stream = s
		return h, nil
	}
	s.Package = true
	c, err := parsePackageList(rec.payload)
	if err != nil {
		return h, rs.wrap(err)
	}
	h.stream, h.to, h.keys = s, c.to, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.datasets)) {
		d, err := c.datasets[name].dataset(s.Top, name, c.to)
		if err != nil {
			h.stream = nil
			return h, rs.wrap(err)
		}
		s.Datasets = append(s.Datasets, d)
		h.keys[d.Name] = c.datasets[name].key
	}
	return h, nil
}

// dataset is what the list of a package says of one, at the snapshot called to.
func (l listedDataset) dataset(top, name, to string) (Dataset, error) {
	at, err := relativeName(top, name)
	if err != nil {
		return Dataset{}, err
	}
	d := Dataset{Name: at, Snapshot: to, GUID: l.snapshots[to], Origin: l.origin, Properties: l.properties}
	for _, snapshot := range slices.Sorted(maps.Keys(l.snapshots)) {
		d.Snapshots = append(d.Snapshots, Snapshot{Name: snapshot, GUID: l.snapshots[snapshot], Properties: l.snapshotProperties[snapshot]})
	}
	return d, nil
}
