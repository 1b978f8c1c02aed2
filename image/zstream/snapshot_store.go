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

// library is a sink that keeps what datasets were at their snapshots, for those
// that are incremental from them. One that nothing else needs is not copied, but
// goes on to be the next.
type library struct {
	dir     *os.Root // where stages are made
	bare    bool     // without the content of files
	options Options
	stream  int // the how-manieth is being read
	volumes []*volume
	reading *volume // nil: what it is incremental from is not there, and need not be
}

// volume is a dataset at a snapshot.
type volume struct {
	name   string
	guid   uint64 // of the snapshot
	stream int    // that it is of; -1 if it is only there to be built on
	stage  *stage
}

// begin is sink's.
func (l *library) begin(b beginning, clones map[uint64]int) (err error) {
	v := &volume{name: b.Name, guid: b.GUID, stream: l.stream}
	if b.FromGUID != 0 {
		v.stage, err = l.take(b, clones)
		if errors.Is(err, ErrNoOrigin) && l.options.SkipLayers {
			l.reading = nil
			return nil
		}
		if err != nil {
			return err
		}
	}
	limit := l.options.MaxObjects
	for _, other := range l.volumes {
		limit -= other.stage.objects.count
	}
	if v.stage == nil {
		if v.stage, err = newStage(l.dir, b.order, limit, l.bare); err != nil {
			return err
		}
	}
	v.stage.limit, v.stage.keep = limit, l.options.keeps(b.Name)
	v.stage.begin(b)
	l.volumes, l.reading = append(l.volumes, v), v
	return nil
}

// take is the stage of what a substream is incremental from. It is a copy if that
// has a place of its own in the stream, or clones of it are to come.
func (l *library) take(b beginning, clones map[uint64]int) (*stage, error) {
	at := slices.IndexFunc(l.volumes, func(v *volume) bool { return v.guid == b.FromGUID })
	if at < 0 {
		return nil, fmt.Errorf("%s@%s: %w: snapshot %#x", b.dataset, b.Snapshot, ErrNoOrigin, b.FromGUID)
	}
	origin := l.volumes[at]
	if origin.stage.order != b.order {
		return nil, errors.New("it is of another byte order than what it is incremental from: not supported")
	}
	next := origin.stream == l.stream && origin.name == b.Name // the dataset goes on
	if !next && clones[b.FromGUID] > 0 {
		clones[b.FromGUID]--
	}
	if clones[b.FromGUID] == 0 && (next || origin.stream != l.stream) {
		l.volumes = slices.Delete(l.volumes, at, at+1)
		return origin.stage, nil
	}
	if next {
		origin.stream = -1
	}
	return origin.stage.fork()
}

// record is sink's.
func (l *library) record(rec *record) (int64, error) {
	if l.reading == nil {
		return 0, nil
	}
	return l.reading.stage.record(rec)
}

// end is sink's.
func (l *library) end() error {
	if l.reading == nil {
		return nil
	}
	return l.reading.stage.closeContent()
}

// read reads the origins and then r. What is there after it is of r alone.
func (l *library) read(ctx context.Context, r io.Reader) (*reading, error) {
	if err := l.readOrigins(ctx); err != nil {
		return nil, err
	}
	x, err := read(ctx, r, l.options, l)
	if err != nil {
		return nil, err
	}
	l.volumes = slices.DeleteFunc(l.volumes, func(v *volume) bool {
		if v.stream == l.stream {
			return false
		}
		err = errors.Join(err, v.stage.remove())
		return true
	})
	return x, err
}

// readOrigins reads what the stream is incremental from.
func (l *library) readOrigins(ctx context.Context) error {
	for i, origin := range l.options.Origins {
		if _, err := read(ctx, origin, l.options, l); err != nil {
			return fmt.Errorf("origin %d: %w", i+1, err)
		}
		l.stream++
	}
	return nil
}

// each calls f with every dataset of the stream, in its order, and its files.
func (l *library) each(x *reading, f func(d *Dataset, files *files) error) error {
	for i := range x.stream.Datasets {
		d := &x.stream.Datasets[i]
		at := slices.IndexFunc(l.volumes, func(v *volume) bool { return v.name == d.Name })
		if at < 0 { // it was passed over
			continue
		}
		files, err := openFiles(l.volumes[at].stage, l.options.MaxObjects)
		if err == nil {
			err = f(d, files)
			d.Files = files.names
		}
		if err != nil && x.ctx.Err() == nil {
			err = fmt.Errorf("dataset %q: %w", path.Join(x.stream.Top, d.Name), err)
		}
		if err != nil {
			return x.fault(err)
		}
	}
	return nil
}

// remove takes all stages away.
func (l *library) remove() (err error) {
	for _, v := range l.volumes {
		err = errors.Join(err, v.stage.remove())
	}
	l.volumes = nil
	return err
}
