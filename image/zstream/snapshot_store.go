package zstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
)

// snapshotStore is a sink that stages the snapshots of a stream and its origins, for
// substreams that are incremental from them. A stage that nothing else needs is not
// copied but becomes the next snapshot.
type snapshotStore struct {
	dir            *os.Root // directory of the stages
	withoutContent bool     // stages drop the content of files
	options        Options
	streamIndex    int // index of the stream that is being read
	snapshots      []*stagedSnapshot
	current        *stagedSnapshot // nil while a substream with a missing origin is skipped
}

// stagedSnapshot is a dataset at a snapshot.
type stagedSnapshot struct {
	name        string
	guid        uint64 // of the snapshot
	streamIndex int    // index of its stream; -1 if it is only an origin
	stage       *stage
}

// begin implements sink.begin. MaxObjects bounds the objects of all stages together.
func (l *snapshotStore) begin(b beginRecord, clones map[uint64]int) (err error) {
	v := &stagedSnapshot{name: b.Name, guid: b.GUID, streamIndex: l.streamIndex}
	if b.FromGUID != 0 {
		v.stage, err = l.baseStage(b, clones)
		if errors.Is(err, ErrNoOrigin) && l.options.SkipMissingOrigins {
			l.current = nil
			return nil
		}
		if err != nil {
			return err
		}
	}
	limit := l.options.MaxObjects
	for _, other := range l.snapshots {
		limit -= other.stage.objects.count
	}
	if v.stage == nil {
		if v.stage, err = newStage(l.dir, b.order, limit, l.withoutContent); err != nil {
			return err
		}
	}
	v.stage.maxObjects, v.stage.contentReserve = limit, l.options.contentReserve(b.Name)
	v.stage.begin(b)
	l.snapshots, l.current = append(l.snapshots, v), v
	return nil
}

// baseStage returns the stage of a substream's origin. It is a copy if the origin is a
// result of the stream itself, or if clones of it follow.
func (l *snapshotStore) baseStage(b beginRecord, clones map[uint64]int) (*stage, error) {
	at := slices.IndexFunc(l.snapshots, func(v *stagedSnapshot) bool { return v.guid == b.FromGUID })
	if at < 0 {
		return nil, fmt.Errorf("%s@%s: %w: snapshot %#x", b.dataset, b.Snapshot, ErrNoOrigin, b.FromGUID)
	}
	origin := l.snapshots[at]
	if origin.stage.order != b.order {
		return nil, errors.New("its byte order differs from its origin's: not supported")
	}
	next := origin.streamIndex == l.streamIndex && origin.name == b.Name // the next snapshot of the same dataset
	if !next && clones[b.FromGUID] > 0 {
		clones[b.FromGUID]--
	}
	if clones[b.FromGUID] == 0 && (next || origin.streamIndex != l.streamIndex) {
		l.snapshots = slices.Delete(l.snapshots, at, at+1)
		return origin.stage, nil
	}
	if next {
		origin.streamIndex = -1
	}
	return origin.stage.fork()
}

// record implements sink.record.
func (l *snapshotStore) record(rec *record) (int64, error) {
	if l.current == nil {
		return 0, nil
	}
	return l.current.stage.record(rec)
}

// end implements sink.end.
func (l *snapshotStore) end() error {
	if l.current == nil {
		return nil
	}
	return l.current.stage.closeContent()
}

// read reads the origins and then r. It leaves only the last snapshots of r's datasets in
// the store.
func (l *snapshotStore) read(ctx context.Context, r io.Reader) (*streamReader, error) {
	if err := l.readOrigins(ctx); err != nil {
		return nil, err
	}
	x, err := readStream(ctx, r, l.options, l)
	if err != nil {
		return nil, err
	}
	l.snapshots = slices.DeleteFunc(l.snapshots, func(v *stagedSnapshot) bool {
		if v.streamIndex == l.streamIndex {
			return false
		}
		err = errors.Join(err, v.stage.remove())
		return true
	})
	return x, err
}

// readOrigins reads the streams that the stream is incremental from.
func (l *snapshotStore) readOrigins(ctx context.Context) error {
	for i, origin := range l.options.Origins {
		if _, err := readStream(ctx, origin, l.options, l); err != nil {
			return fmt.Errorf("origin %d: %w", i+1, err)
		}
		l.streamIndex++
	}
	return nil
}

// eachDataset calls f with every dataset of the stream, in its order, and its files. It
// sets Dataset.Files, and skips datasets whose origin is missing.
func (l *snapshotStore) eachDataset(x *streamReader, f func(d *Dataset, files *zpl) error) error {
	for i := range x.stream.Datasets {
		d := &x.stream.Datasets[i]
		at := slices.IndexFunc(l.snapshots, func(v *stagedSnapshot) bool { return v.name == d.Name })
		if at < 0 { // it was skipped
			continue
		}
		files, err := openZPL(l.snapshots[at].stage, l.options.MaxObjects)
		if err == nil {
			err = f(d, files)
			d.Files = files.names
		}
		if err != nil && x.ctx.Err() == nil {
			err = fmt.Errorf("dataset %q: %w", path.Join(x.stream.Top, d.Name), err)
		}
		if err != nil {
			return x.wrap(err)
		}
	}
	return nil
}

// remove removes all stages. It may be called twice.
func (l *snapshotStore) remove() (err error) {
	for _, v := range l.snapshots {
		err = errors.Join(err, v.stage.remove())
	}
	l.snapshots = nil
	return err
}
