package imagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"nomad-driver-pot/image/zstream"
)

// Datasets implements image.Datasets in memory.
type Datasets struct {
	// Receiving, if set, is called before a stream is read. Its error ends the receive.
	Receiving func(ctx context.Context, name string) error

	Busy map[string]bool // datasets with clones

	mu       sync.Mutex
	sets     map[string]dataset
	received int
}

type dataset struct {
	stream []byte
	labels map[string]string
}

// NewDatasets returns a host without datasets.
func NewDatasets() *Datasets {
	return &Datasets{sets: map[string]dataset{}}
}

// Content returns what passes for a zfs send stream where nothing imports it.
func Content(of string) []byte { return append(slices.Clone(drrBegin), of...) }

// Stream returns a zfs send stream of a small pot image with content in a file.
func Stream(content string) []byte {
	at := time.Unix(1_700_000_000, 0)
	files := func(small map[string]string) *zstream.Files {
		f, err := zstream.NewFiles(small, at)
		if err != nil {
			panic(err)
		}
		return f
	}
	var b bytes.Buffer
	_, err := zstream.Write(context.Background(), &b, zstream.WriteOptions{Dataset: "tank/jails/small", Snapshot: "1700000000", Created: at},
		zstream.FileSystem{Files: files(map[string]string{"conf/pot.conf": "pot.level=0\n", "conf/fscomp.conf": ""})},
		zstream.FileSystem{Name: "m", Files: files(map[string]string{"content": content})})
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

// drrBegin is the beginning of a DRR_BEGIN record: its type, 0, and its magic number
// (zfs_ioctl.h, DMU_BACKUP_MAGIC).
var drrBegin = []byte{0, 0, 0, 0, 0, 0, 0, 0, 0xac, 0xcb, 0xba, 0xf5, 2, 0, 0, 0}

// Receive reads the whole stream and refuses one without a BEGIN record.
func (d *Datasets) Receive(ctx context.Context, name string, stream io.Reader) error {
	if d.Receiving != nil {
		if err := d.Receiving(ctx, name); err != nil {
			return err
		}
	}
	b, err := io.ReadAll(stream)
	if err != nil {
		return errors.New("zfs receive: incomplete stream") // as zfs(8) does, which sees only the end
	}
	if !bytes.HasPrefix(b, drrBegin) && !isPackage(b) {
		return errors.New("zfs receive: invalid stream (bad magic number)")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.sets[name]; ok {
		return fmt.Errorf("receive %s: %w", name, fs.ErrExist)
	}
	d.received++
	d.sets[name] = dataset{stream: b, labels: map[string]string{}}
	return nil
}

// ReceiveLayer is Receive for a stream that is incremental from origin, which must
// exist. It reads the streams below, as hosts without snapshots do.
func (d *Datasets) ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
	below func(context.Context) ([]io.ReadCloser, error)) error {
	d.mu.Lock()
	_, ok := d.sets[origin]
	d.mu.Unlock()
	if !ok {
		return fmt.Errorf("receive %s: origin %s: %w", name, origin, fs.ErrNotExist)
	}
	streams, err := below(ctx)
	if err != nil {
		return err
	}
	for _, r := range streams {
		_, read := io.Copy(io.Discard, r)
		err = errors.Join(err, read, r.Close())
	}
	if err == nil {
		err = d.Receive(ctx, name, stream)
	}
	if err == nil {
		err = d.SetLabels(ctx, name, map[string]string{"origin": fmt.Sprintf("%s@%s, %d streams", origin, snapshot, len(streams))})
	}
	return err
}

// isPackage reports whether b comes from `zfs send -R`, whose first record has a
// payload.
func isPackage(b []byte) bool {
	return len(b) > 16 && bytes.Equal(b[:4], drrBegin[:4]) && bytes.Equal(b[8:16], drrBegin[8:])
}

// Rename renames a dataset to a free name.
func (d *Datasets) Rename(_ context.Context, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	set, ok := d.sets[from]
	if !ok {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	if _, ok := d.sets[to]; ok {
		return fmt.Errorf("rename %s to %s: %w", from, to, fs.ErrExist)
	}
	delete(d.sets, from)
	d.sets[to] = set
	return nil
}

// Destroy removes a dataset.
func (d *Datasets) Destroy(ctx context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sets, name)
	return ctx.Err()
}

// SetLabels sets labels of a dataset. A label set to "" is removed.
func (d *Datasets) SetLabels(_ context.Context, name string, labels map[string]string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	set, ok := d.sets[name]
	if !ok {
		return fmt.Errorf("label %s: %w", name, fs.ErrNotExist)
	}
	maps.Copy(set.labels, labels)
	maps.DeleteFunc(set.labels, func(_, value string) bool { return value == "" })
	return nil
}

// Clear removes labels of a dataset.
func (d *Datasets) Clear(name string, labels ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	set, ok := d.sets[name]
	if !ok {
		return fmt.Errorf("label %s: %w", name, fs.ErrNotExist)
	}
	for _, label := range labels {
		delete(set.labels, label)
	}
	return nil
}

// Labels returns the labels of a dataset.
func (d *Datasets) Labels(_ context.Context, name string) (map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	set, ok := d.sets[name]
	if !ok {
		return nil, fmt.Errorf("labels of %s: %w", name, fs.ErrNotExist)
	}
	return maps.Clone(set.labels), nil
}

// Labelled returns, for each dataset that has any of the labels, those that it has.
func (d *Datasets) Labelled(_ context.Context, labels ...string) (map[string]map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]map[string]string{}
	for name, set := range d.sets {
		has := maps.Clone(set.labels)
		maps.DeleteFunc(has, func(label, _ string) bool { return !slices.Contains(labels, label) })
		if len(has) > 0 {
			all[name] = has
		}
	}
	return all, nil
}

// Created returns no times: these datasets have none.
func (d *Datasets) Created(context.Context) (map[string]time.Time, error) { return nil, nil }

// GUIDs returns the GUIDs of the snapshots that name was received with.
func (d *Datasets) GUIDs(ctx context.Context, name string) (guids []uint64, err error) {
	d.mu.Lock()
	set, ok := d.sets[name]
	d.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("snapshots of %s: %w", name, fs.ErrNotExist)
	}
	s, err := zstream.Head(ctx, bytes.NewReader(set.stream))
	if err != nil {
		return nil, err
	}
	for _, dataset := range s.Datasets {
		for _, snapshot := range dataset.Snapshots {
			guids = append(guids, snapshot.GUID)
		}
	}
	return guids, nil
}

// Names returns the names of all datasets, sorted.
func (d *Datasets) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.sets))
}

// List returns the names that begin with prefix, sorted.
func (d *Datasets) List(_ context.Context, prefix string) ([]string, error) {
	return slices.DeleteFunc(d.Names(), func(name string) bool { return !strings.HasPrefix(name, prefix) }), nil
}

// StreamOf returns the stream that name was received from.
func (d *Datasets) StreamOf(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sets[name].stream
}

// Put makes a dataset as another tool would, with no other labels.
func (d *Datasets) Put(name string, labels map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	set := dataset{labels: map[string]string{}}
	maps.Copy(set.labels, labels)
	d.sets[name] = set
}

// Received returns how many streams were received in full.
func (d *Datasets) Received() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.received
}

// Idle returns the datasets with that label that have no clones (Busy).
func (d *Datasets) Idle(_ context.Context, label string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for name, set := range d.sets {
		if _, ok := set.labels[label]; ok && !d.Busy[name] {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all, nil
}
