package zstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// kind is drr_type: what a record is (OpenZFS include/sys/zfs_ioctl.h, struct
// dmu_replay_record, as all layouts of this file).
type kind uint32

const (
	begin kind = iota
	object
	freeObjects
	write
	free
	end
	writeByRef
	spill
	writeEmbedded
	objectRange
	redact
)

var kindNames = []string{
	"BEGIN", "OBJECT", "FREEOBJECTS", "WRITE", "FREE", "END",
	"WRITE_BYREF", "SPILL", "WRITE_EMBEDDED", "OBJECT_RANGE", "REDACT",
}

func (k kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("record of type %d", uint32(k))
}

// Sizes in a record.
const (
	headerSize = 312 // sizeof (dmu_replay_record_t)
	sumOffset  = 280 // offsetof (…, drr_u.drr_checksum.drr_checksum)
	bodyOffset = 8   // offsetof (…, drr_u)
	sumSize    = 32  // sizeof (zio_cksum_t)

	maxPayload = 16 << 20 // SPA_MAXBLOCKSIZE (spa.h)
	readAhead  = 1 << 20
)

// magic is DMU_BACKUP_MAGIC.
const magic = 0x2F5bacbac

// record is one that was read and whose header's checksum holds. Its slices are
// overwritten by the next.
type record struct {
	kind    kind
	body    []byte // drr_u
	payload []byte
}

// u32 and u64 are numbers in drr_u. Those of the machine that sent the stream are
// little-endian: others are refused at its beginning.
func (r *record) u32(at int) uint32 { return binary.LittleEndian.Uint32(r.body[at:]) }
func (r *record) u64(at int) uint64 { return binary.LittleEndian.Uint64(r.body[at:]) }

// records reads a stream, record by record. It knows BEGIN from END and sums up
// what is between; what the records mean is for its user.
type records struct {
	ctx    context.Context
	r      *bufio.Reader
	header [headerSize]byte
	rec    record
	large  []byte    // a payload beyond what r holds
	sum    fletcher4 // of all since BEGIN
	open   bool      // between BEGIN and END
	list   bool      // and that BEGIN was a package's

	n      int64 // of the record in hand
	offset int64 // of the record in hand
	next   int64 // offset of the next
}

func newRecords(ctx context.Context, r io.Reader) *records {
	return &records{ctx: ctx, r: bufio.NewReaderSize(r, readAhead), n: -1}
}

// fault is err at the record in hand.
func (rs *records) fault(err error) error {
	return rs.faultAt(rs.rec.kind.String(), err)
}

// faultf is fault of a new error.
func (rs *records) faultf(format string, args ...any) error {
	return rs.fault(fmt.Errorf(format, args...))
}

// faultAt is err at that place, unless it has one already. That ctx is done is
// no fault of the stream, wherever it was noticed.
func (rs *records) faultAt(op string, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) || rs.ctx.Err() != nil && errors.Is(err, context.Cause(rs.ctx)) {
		return err
	}
	return &Error{Record: max(rs.n, 0), Offset: rs.offset, Op: op, Err: err}
}

// read returns the next record; that there is none is io.ErrUnexpectedEOF. A
// payload has been read, and not yet checked: its checksum is in the header of
// the record that follows, and the last of them is the END. What is made of it
// until then must be such that it can be thrown away.
func (rs *records) read() (*record, error) {
	if rs.ctx.Err() != nil {
		return nil, context.Cause(rs.ctx)
	}
	if err := rs.readHeader(); err != nil {
		return nil, err
	}
	rs.rec = record{kind: kind(binary.LittleEndian.Uint32(rs.header[:])), body: rs.header[bodyOffset:]}
	if rs.rec.kind > redact {
		return nil, rs.faultf("no such record is known")
	}
	if err := rs.checkHeader(&rs.rec); err != nil {
		return nil, rs.fault(err)
	}
	size, err := payloadSize(&rs.rec, binary.LittleEndian.Uint32(rs.header[4:]))
	if err != nil {
		return nil, rs.fault(err)
	}
	if rs.rec.payload, err = rs.readPayload(size); err != nil {
		return nil, rs.faultf("its payload of %d bytes: %w", size, cut(err))
	}
	rs.sum.Write(rs.rec.payload)
	rs.next += headerSize + int64(size)
	return &rs.rec, nil
}

// readHeader reads the next header. The first is looked at before it is whole, so
// that a short file of another kind is said to be what it is.
func (rs *records) readHeader() error {
	rs.n, rs.offset = rs.n+1, rs.next
	n, err := io.ReadFull(rs.r, rs.header[:])
	atEnd := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case rs.n == 0 && n >= 16:
		if err := checkMagic(rs.header[:n]); err != nil {
			return err
		}
	case rs.n == 0 && atEnd:
		return fmt.Errorf("%w: it ends after %d bytes", ErrNotStream, n)
	}
	switch {
	case err == nil:
		return nil
	case atEnd && n == 0:
		return rs.faultAt("end of the input", fmt.Errorf("more is to come: %w", io.ErrUnexpectedEOF))
	}
	return rs.faultAt("header", fmt.Errorf("%d of %d bytes: %w", n, headerSize, cut(err)))
}

// checkMagic tells what is no stream from the beginning of the first record.
func checkMagic(header []byte) error {
	const swapped = 0xaccbbaf502000000 // magic, written by a machine of the other byte order
	switch m := binary.LittleEndian.Uint64(header[bodyOffset:]); {
	case m == magic && binary.LittleEndian.Uint32(header) == uint32(begin):
		return nil
	case m == swapped:
		return &Error{Op: begin.String(), Err: errors.New("byte-swapped streams, of big-endian machines, are not supported")}
	}
	return fmt.Errorf("%w: it begins with % x", ErrNotStream, header[:16])
}

// checkHeader compares the checksum in a header with that of all that came
// before it (module/zfs/dmu_recv.c, receive_read_payload_and_next_header). Only
// the ENDs that libzfs writes around the substreams of a package have none
// (lib/libzfs/libzfs_sendrecv.c, send_conclusion_record).
func (rs *records) checkHeader(rec *record) error {
	switch {
	case rec.kind == begin && rs.open:
		return errors.New("the dataset before has no END")
	case rec.kind == begin:
		rs.open, rs.list = true, rec.u64(8)&3 == compound
		rs.sum = fletcher4{}
		rs.sum.Write(rs.header[:])
		return nil
	case rec.kind == end && !rs.open:
		if !isZero(rs.header[4:]) {
			return errors.New("the END of a package has something in it")
		}
		return nil
	case !rs.open:
		return errors.New("it is outside of any dataset")
	}
	before := rs.sum
	rs.sum.Write(rs.header[:sumOffset])
	bare := rec.kind == end && rs.list && isZero(rec.body[sumSize:])
	if !bare && readSum(rs.header[sumOffset:]) != rs.sum {
		return errors.New("checksum does not match: it is damaged, or the one before it is")
	}
	rs.sum.Write(rs.header[sumOffset:])
	if rec.kind == end {
		rs.open = false
		if readSum(rec.body) != before { // drr_end.drr_checksum
			return errors.New("checksum of all since BEGIN does not match")
		}
	}
	return nil
}

// isZero tells whether there is nothing but zeros in p.
func isZero(p []byte) bool { return bytes.Count(p, []byte{0}) == len(p) }

// payloadSize is how much follows a header, by the fields of its kind
// (DRR_OBJECT_PAYLOAD_SIZE, DRR_WRITE_PAYLOAD_SIZE, DRR_SPILL_PAYLOAD_SIZE).
// Where drr_payloadlen is set too it must agree. Fletcher-4 sums words of 4
// bytes; senders pad to 8.
func payloadSize(rec *record, said uint32) (int, error) {
	size := uint64(0)
	switch rec.kind {
	case begin:
		size = uint64(said)
	case object:
		size = (uint64(rec.u32(20)) + 7) &^ 7 // drr_bonuslen
	case write:
		if c := rec.body[42]; c != 0 { // drr_compressiontype
			return 0, fmt.Errorf("compressed records (type %d) are not supported yet", c)
		}
		size = rec.u64(24) // drr_logical_size
	case spill:
		if c := rec.body[25]; c != 0 || rec.u64(32) != 0 { // drr_compressed_size
			return 0, fmt.Errorf("compressed records (type %d) are not supported yet", c)
		}
		size = rec.u64(8) // drr_length
	case writeByRef, writeEmbedded, objectRange, redact:
		return 0, errors.New("such records are not supported yet")
	}
	switch {
	case size > maxPayload:
		return 0, fmt.Errorf("a payload of %d bytes is more than %d", size, maxPayload)
	case said != 0 && uint64(said) != size:
		return 0, fmt.Errorf("its payload is said to be of %d bytes, and of %d", said, size)
	case size%4 != 0:
		return 0, fmt.Errorf("a payload of %d bytes, not a multiple of 4", size)
	}
	return int(size), nil
}

// readPayload returns the next size bytes: out of the buffer, if it holds so many.
func (rs *records) readPayload(size int) ([]byte, error) {
	if size <= rs.r.Size() {
		p, err := rs.r.Peek(size)
		if err == nil {
			_, err = rs.r.Discard(size)
		}
		return p, err
	}
	if cap(rs.large) < size {
		rs.large = make([]byte, size)
	}
	_, err := io.ReadFull(rs.r, rs.large[:size])
	return rs.large[:size], err
}

// atEnd makes sure that nothing follows: zfs receive would ignore it. An error
// of the reader counts, for it may be what checks all of the input.
func (rs *records) atEnd() error {
	rs.n, rs.offset = rs.n+1, rs.next
	switch _, err := rs.r.Peek(1); {
	case err == nil:
		return rs.faultAt("end of the stream", errors.New("more follows it"))
	case !errors.Is(err, io.EOF):
		return rs.faultAt("end of the stream", err)
	}
	return nil
}
