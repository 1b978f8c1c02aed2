package zstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path"
	"slices"
)

// CopyVerified copies the stream r to w, and nothing of it before it is known to be good:
// the list of a package not before check has seen what it announces; no record
// before its checksum holds, which for a payload is in the header of the next one,
// nor when it is none that is sent; and no dataset's end before its tree was gone
// through, with Options.Visit if that is set. A kernel trusts what it receives, and
// takes trees that no file system could have been given. With SkipMissingOrigins, what is
// incremental from what is in none of the Origins has its records looked at no
// further than their checksums.
//
// check is given what Head tells, of a list whose checksum holds, or of a stream
// that is no package. With NewList it may remove Properties, which w then does not
// have. Each dataset of a package must be whole, or a clone of the Origin that the
// list says. After an error w has the beginning of a stream, and no end.
// What it needs until then is in a new directory of Options.Scratch, as with Index.
func CopyVerified(ctx context.Context, w io.Writer, r io.Reader, o Options, check func(*Stream) error) (_ *Stream, err error) {
	scratch, err := os.MkdirTemp(o.Scratch, "zstream-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	dir, err := os.OpenRoot(scratch)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	o = o.withDefaults()
	o.Content = nil
	l := &snapshotStore{dir: dir, withoutContent: true, options: o}
	defer func() { err = errors.Join(err, l.remove()) }()
	if err := l.readOrigins(ctx); err != nil {
		return nil, err
	}
	p := &verifiedCopy{snapshotStore: l, ctx: ctx, w: w, check: check, newList: o.NewList}
	x := &streamReader{recordReader: newRecordReader(ctx, r), sink: p, options: o, stream: &Stream{}}
	p.top = x.stream
	x.recordReader.onRecord = p.onRecord
	if err := x.readAll(); err != nil {
		return nil, err
	}
	return x.stream, p.flush()
}

// verifiedCopy holds back the last record, and of a package its list as well.
type verifiedCopy struct {
	*snapshotStore
	ctx     context.Context
	top     *Stream
	w       io.Writer
	check   func(*Stream) error
	newList bool
	held    []byte
	records int // taken so far
}

// begin is sink's. What is of another byte order a kernel turns around as it comes,
// before anybody has gone through it, and panics at what it does not know
// (module/zfs/zap_leaf.c, zap_leaf_byteswap); it would be of no use to it either.
func (p *verifiedCopy) begin(b beginRecord, clones map[uint64]int) error {
	if b.order.big != hostIsBigEndian {
		return errors.New("it is of a machine of another byte order: a kernel is not given it")
	}
	if err := p.snapshotStore.begin(b, clones); err != nil || !p.top.Package {
		return err
	}
	return p.checkOrigin(b)
}

// checkOrigin refuses a substream that a receiver would put elsewhere than into the
// dataset that it names. One that is incremental and no clone goes to whatever dataset
// has the snapshot that it is incremental from, if there is none of its name yet
// (lib/libzfs/libzfs_sendrecv.c, zfs_receive_one).
func (p *verifiedCopy) checkOrigin(b beginRecord) error {
	clone := b.flags&beginClone != 0
	goesOn := slices.ContainsFunc(p.top.Datasets, func(d Dataset) bool { return d.Name == b.Name })
	switch name := b.dataset + "@" + b.Snapshot; {
	case goesOn && clone:
		return fmt.Errorf("%s is a clone, and its dataset is there already", name)
	case !goesOn && clone != (b.FromGUID != 0):
		return fmt.Errorf("%s is incremental from snapshot %#x, and its flags are %#x: it is neither whole nor a clone", name, b.FromGUID, b.flags)
	case !goesOn && b.FromGUID != b.Origin:
		return fmt.Errorf("%s is incremental from snapshot %#x, and the list of the package has it on %#x", name, b.FromGUID, b.Origin)
	}
	return nil
}

// hostIsBigEndian tells the byte order of this machine.
var hostIsBigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// end is sink's: the END of the dataset is what is held back.
func (p *verifiedCopy) end() error {
	if err := p.snapshotStore.end(); err != nil || p.current == nil {
		return err
	}
	v := p.current
	err := v.stage.objects.each(func(o *dnode) error {
		o.nameCount = 0 // of the snapshot before
		return nil
	})
	if err != nil {
		return err
	}
	files, err := openZPL(v.stage, p.options.MaxObjects)
	if err == nil {
		visit := p.options.Visit
		if visit == nil {
			visit = func(Entry) error { return nil }
		}
		w := &walker{zpl: files, ctx: p.ctx, dataset: v.name, visit: visit, firstNames: map[uint64]firstName{}, seed: maphash.MakeSeed()}
		files.forMount = true
		if err = files.checkMaster(); err == nil {
			err = w.visitRoot()
		}
		if err == nil {
			err = files.checkUnlinkedSet()
		}
	}
	if err != nil && p.ctx.Err() == nil {
		err = fmt.Errorf("dataset %q: %w", path.Join(p.top.Top, v.name), err)
	}
	return err
}

// onRecord is given each record whole, after its header's checksum, which is that of
// all before it too, was found to hold.
func (p *verifiedCopy) onRecord(rec *record, header []byte) error {
	p.records++
	switch first := p.records == 1; {
	case first:
		p.hold(rec, header)
		return nil
	case p.records == 2:
		last, err := p.checkHead()
		if err != nil {
			return err
		}
		if last != nil {
			err := p.flush()
			p.held = last
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.hold(rec, header)
	return nil
}

func (p *verifiedCopy) hold(rec *record, header []byte) {
	p.held = append(append(p.held[:0], header...), rec.payload...)
}

// checkHead has what the first record says checked, now that it is whole. With
// NewList the list of a package is made anew, and its END, which is returned, with it.
func (p *verifiedCopy) checkHead() (last []byte, err error) {
	h, err := readHead(context.Background(), &once{p.held})
	if err == nil {
		err = p.check(h.stream)
	}
	if err != nil || !p.newList || !h.stream.Package {
		return nil, err
	}
	p.held, last, err = h.pack()
	return last, err
}

// flush writes what is held back.
func (p *verifiedCopy) flush() error {
	_, err := p.w.Write(p.held)
	p.held = p.held[:0]
	return err
}

// once reads a record that is in memory.
type once struct{ p []byte }

func (o *once) Read(p []byte) (int, error) {
	if len(o.p) == 0 {
		return 0, io.EOF
	}
	n := copy(p, o.p)
	o.p = o.p[n:]
	return n, nil
}
