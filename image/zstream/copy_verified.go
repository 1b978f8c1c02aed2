package zstream

import (
	"bytes"
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

// CopyVerified copies the stream r to w and holds every part back until it is verified:
// the list of a package until check has accepted it; a record until its checksum (of a
// payload: the checksum in the next header) and the record's own rules hold; the END of
// a dataset until its tree, and Options.Visit if set, pass. A kernel trusts what it
// receives and accepts trees that no file system can have. With SkipMissingOrigins,
// substreams with a missing origin are checked by their checksums only.
//
// check gets the result of Head, for a list whose checksum holds or for a stream that is
// no package. With NewList it may remove Properties, which are then not copied. Each
// dataset of a package must be whole, or a clone of the Origin in the list. After an
// error w has the beginning of a stream without its end. Until it returns, CopyVerified
// uses a new directory of Options.Scratch, as Index does.
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

// verifiedCopy is a sink that copies records. It holds back the last record, whose
// payload the next header verifies, and for a package its list too.
type verifiedCopy struct {
	*snapshotStore
	ctx     context.Context
	top     *Stream
	w       io.Writer
	check   func(*Stream) error
	newList bool   // Options.NewList
	held    []byte // not yet written to w
	records int    // read so far
}

// begin implements sink.begin. It refuses the other byte order: a kernel swaps such data
// on arrival, before anything checks it, and panics at what it does not know
// (module/zfs/zap_leaf.c, zap_leaf_byteswap).
func (p *verifiedCopy) begin(b beginRecord, clones map[uint64]int) error {
	if b.order.big != hostIsBigEndian {
		return errors.New("it has another byte order than this machine: a kernel must not receive it")
	}
	if err := p.snapshotStore.begin(b, clones); err != nil || !p.top.Package {
		return err
	}
	return p.checkOrigin(b)
}

// checkOrigin refuses a substream that a receiver would put into another dataset than
// the named one. An incremental substream without the clone flag goes to whatever
// dataset has its origin snapshot, if no dataset has its name yet
// (lib/libzfs/libzfs_sendrecv.c, zfs_receive_one).
func (p *verifiedCopy) checkOrigin(b beginRecord) error {
	clone := b.flags&beginClone != 0
	// goesOn: this is the next snapshot of a dataset that the stream has begun.
	goesOn := slices.ContainsFunc(p.top.Datasets, func(d Dataset) bool { return d.Name == b.Name })
	switch name := b.dataset + "@" + b.Snapshot; {
	case goesOn && clone:
		return fmt.Errorf("%s is a clone, and its dataset already exists", name)
	case !goesOn && clone != (b.FromGUID != 0):
		return fmt.Errorf("%s is incremental from snapshot %#x, and its flags are %#x: it is neither whole nor a clone", name, b.FromGUID, b.flags)
	case !goesOn && b.FromGUID != b.Origin:
		return fmt.Errorf("%s is incremental from snapshot %#x, and the list of the package has it on %#x", name, b.FromGUID, b.Origin)
	}
	return nil
}

// hostIsBigEndian is the byte order of this machine.
var hostIsBigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// end implements sink.end: it holds back the END of the dataset until the checks pass,
// so that no receiver completes a dataset that fails them.
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

// onRecord is called with each record after its header checksum is verified, which
// covers everything before: it writes what it held back, and holds back this record.
// With a new list, the second record is the original list's END, which it replaces.
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

// hold copies a record, whose slices the next read overwrites.
func (p *verifiedCopy) hold(rec *record, header []byte) {
	p.held = append(append(p.held[:0], header...), rec.payload...)
}

// checkHead calls check with the first record, which is verified now. With NewList it
// replaces the list of a package and returns the END that belongs to it.
func (p *verifiedCopy) checkHead() (last []byte, err error) {
	h, err := readHead(context.Background(), bytes.NewReader(p.held))
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
