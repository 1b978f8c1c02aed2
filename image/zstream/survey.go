package zstream

import (
	"context"
	"io"
	"maps"
	"slices"
)

// Survey reads all of the stream r and returns its datasets and snapshots, with the
// properties in the list of a package. It verifies every checksum and that every listed
// dataset arrives, but not the content of datasets. It uses MaxBytes and MaxDatasets of
// the Options.
func Survey(ctx context.Context, r io.Reader, o Options) (*Stream, error) {
	x, err := readStream(ctx, r, o.withDefaults(), discardSink{})
	if err != nil {
		return nil, err
	}
	return x.stream, nil
}

// discardSink is a sink that ignores all records.
type discardSink struct{}

func (discardSink) begin(beginRecord, map[uint64]int) error { return nil }
func (discardSink) record(*record) (int64, error)           { return 0, nil }
func (discardSink) end() error                              { return nil }

// Head reads only the beginning of the stream r: for a package its list, of which it
// returns all datasets, sorted, without Created; otherwise the one dataset. The checksum
// of the list follows it and is not verified: use Head to refuse a stream early, and
// Survey for anything that must be reliable. Head may read more of r than it needs.
func Head(ctx context.Context, r io.Reader) (*Stream, error) {
	h, err := readHead(ctx, r)
	return h.stream, err
}

// head is the decoded first record of a stream.
type head struct {
	beginRecord
	stream *Stream // result of Head

	to   string            // last snapshot of a package; "" if its list does not name one
	keys map[string]string // names of the datasets in the list, by Dataset.Name
}

// readHead reads the first record only. See Head for what it does not verify.
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

// dataset returns the Dataset of a list's entry at the snapshot called to, whose GUID is
// 0 if the entry does not have it.
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
