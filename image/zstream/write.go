package zstream

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// FileSystem is a dataset to write. Its Files may be written again, but not concurrently.
type FileSystem struct {
	Name  string // relative to the top dataset, whose Name is ""
	Files *Files
}

// WriteOptions name the snapshot that Write writes.
type WriteOptions struct {
	Dataset  string    // full name of the top dataset: "tank/jails/web"
	Snapshot string    // without the @
	Created  time.Time // the snapshot, to the second

	// Progress, if set, is called with the bytes of content written so far and their
	// total, both without holes.
	Progress func(done, total int64)
}

// maxDatasetName is ZFS_MAX_DATASET_NAME_LEN, with the NUL.
const maxDatasetName = 256

// Write writes file systems as `zfs send -R` does: the top one first, each after its
// parent. The same input gives the same bytes. GUIDs are hashes of the whole input, so
// different streams have different GUIDs. It returns the datasets that it wrote. After an
// error w has the beginning of a stream.
//
// Write reads contents twice, to hash and to write them; a change in between is an
// error. Memory holds names and attributes, and the names of one directory once more.
//
// The only stream feature is SA_SPILL, which every OpenZFS and FreeBSD since 10 can
// receive.
func Write(ctx context.Context, w io.Writer, o WriteOptions, systems ...FileSystem) (*Stream, error) {
	if err := o.check(systems); err != nil {
		return nil, err
	}
	p := &packageWriter{options: o, stream: &Stream{}}
	for _, fs := range systems {
		if err := fs.Files.prepare(ctx); err != nil {
			return nil, fmt.Errorf("dataset %q: %w", fs.Name, err)
		}
		p.total += fs.Files.bytes
	}
	p.assignGUIDs(systems)
	buffered := bufio.NewWriterSize(w, readAhead)
	p.out = &recordWriter{ctx: ctx, w: buffered}
	err := p.writeList(systems)
	for i, fs := range systems {
		if err == nil {
			err = p.writeDataset(i, fs)
		}
	}
	if err == nil {
		err = p.out.writePackageEnd(fletcher4{})
	}
	if err == nil {
		err = buffered.Flush()
	}
	return p.stream, err
}

// check refuses names that ZFS refuses.
func (o WriteOptions) check(systems []FileSystem) error {
	if len(systems) == 0 || systems[0].Name != "" {
		return errors.New("the first dataset must be the top one")
	}
	if err := checkDatasetComponent("snapshot", o.Snapshot); err != nil {
		return err
	}
	if o.Created.Unix() < 0 {
		return fmt.Errorf("the snapshot cannot be of %v, before 1970", o.Created)
	}
	seen := map[string]bool{}
	for _, fs := range systems {
		full := join(o.Dataset, fs.Name)
		for part := range strings.SplitSeq(full, "/") {
			if err := checkDatasetComponent("dataset", part); err != nil {
				return err
			}
		}
		if n := len(full) + 1 + len(o.Snapshot); n >= maxDatasetName {
			return fmt.Errorf("%s@%s: a name of %d bytes is longer than %d", full, o.Snapshot, n, maxDatasetName-1)
		}
		parent := fs.Name[:max(0, strings.LastIndexByte(fs.Name, '/'))]
		if seen[fs.Name] || fs.Name != "" && !seen[parent] {
			return fmt.Errorf("dataset %q is there twice, or not after the one that it is in", fs.Name)
		}
		seen[fs.Name] = true
	}
	return nil
}

// checkDatasetComponent refuses an invalid component of a dataset name: letters, digits
// and "-_.: " are allowed (module/zcommon/zfs_namecheck.c, valid_char).
func checkDatasetComponent(what, s string) error {
	bad := strings.IndexFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("-_.: ", r)
	})
	if s == "" || s == "." || s == ".." || bad >= 0 {
		return fmt.Errorf("%q is no name of a %s", s, what)
	}
	return nil
}

// join returns the full name of a dataset below top: top itself if name is "".
func join(top, name string) string {
	if name == "" {
		return top
	}
	return top + "/" + name
}

// packageWriter writes one package.
type packageWriter struct {
	options   WriteOptions
	out       *recordWriter
	stream    *Stream
	fsGUIDs   []uint64         // of the datasets, in the order of stream.Datasets
	total     int64            // bytes of content to write
	done      int64            // bytes of content written
	lastBlock [recordSize]byte // buffer for the last block of a file, padded with zeros
}

// assignGUIDs derives the GUIDs of datasets and snapshots from a hash of the whole input
// and their names.
func (p *packageWriter) assignGUIDs(systems []FileSystem) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d\n", p.options.Dataset, p.options.Snapshot, p.options.Created.Unix())
	for _, fs := range systems {
		fmt.Fprintf(h, "%q %x\n", fs.Name, fs.Files.sum)
	}
	all := h.Sum(nil)
	guid := func(what string, name string) uint64 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%x %s %q", all, what, name))
		return binary.LittleEndian.Uint64(sum[:]) | 1 // none is 0
	}
	for _, fs := range systems {
		p.fsGUIDs = append(p.fsGUIDs, guid("dataset", fs.Name))
		p.stream.Datasets = append(p.stream.Datasets, Dataset{
			Name: fs.Name, Snapshot: p.options.Snapshot, GUID: guid("snapshot", fs.Name),
			Created: time.Unix(p.options.Created.Unix(), 0).UTC(), Bytes: fs.Files.bytes,
		})
	}
}

// writeList writes the beginning of the package: the list of datasets, without
// properties (OpenZFS lib/libzfs/libzfs_sendrecv.c, send_iterate_fs).
func (p *packageWriter) writeList(systems []FileSystem) error {
	var filesystems nvlist
	snapshots := map[string]uint64{}
	for i, fs := range systems {
		d := p.stream.Datasets[i]
		parent := uint64(0)
		if fs.Name != "" {
			parent = snapshots[fs.Name[:max(0, strings.LastIndexByte(fs.Name, '/'))]]
		}
		snapshots[fs.Name] = d.GUID
		filesystems = append(filesystems, nvpair{fmt.Sprintf("%#x", p.fsGUIDs[i]), nvlist{
			{"name", join(p.options.Dataset, fs.Name)},
			{"parentfromsnap", parent},
			{"props", nvlist{}},
			{"snaps", nvlist{{d.Snapshot, d.GUID}}},
			{"snapprops", nvlist{{d.Snapshot, nvlist{}}}},
		}})
	}
	list := nvlist{{"tosnap", p.options.Snapshot}, {"fss", filesystems}}
	err := p.out.writeRecord(drrBegin, list.pack(), func(b body) {
		b.u64(0, magic)
		b.u64(8, compound)
		copy(b[48:303], p.options.Dataset+"@"+p.options.Snapshot)
	})
	if err == nil {
		err = p.out.writePackageEnd(p.out.sum)
	}
	return err
}

// progress counts written content.
func (p *packageWriter) progress(n int) {
	p.done += int64(n)
	if p.options.Progress != nil {
		p.options.Progress(p.done, p.total)
	}
}
