package zstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// recordType is drr_type (OpenZFS include/sys/zfs_ioctl.h, struct dmu_replay_record, as
// all layouts of this file).
type recordType uint32

// The record types, by number. payloadSizeOf refuses the types that only unsupported
// streams have.
const (
	drrBegin recordType = iota
	drrObject
	drrFreeObjects
	drrWrite
	drrFree
	drrEnd
	drrWriteByRef
	drrSpill
	drrWriteEmbedded
	drrObjectRange
	drrRedact
)

// recordTypeNames are the names in OpenZFS, without DRR_.
var recordTypeNames = []string{
	"BEGIN", "OBJECT", "FREEOBJECTS", "WRITE", "FREE", "END",
	"WRITE_BYREF", "SPILL", "WRITE_EMBEDDED", "OBJECT_RANGE", "REDACT",
}

// String returns the name of the type, for messages.
func (k recordType) String() string {
	if int(k) < len(recordTypeNames) {
		return recordTypeNames[k]
	}
	return fmt.Sprintf("record of type %d", uint32(k))
}

// Sizes and offsets in a record.
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

// record is a record whose header checksum holds. Its slices are overwritten by the next
// read.
type record struct {
	typ     recordType
	order   byteOrder
	body    []byte // drr_u
	payload []byte // as in the stream: possibly compressed
}

// u8, u32 and u64 read fields of drr_u at an offset.
func (r *record) u8(at int) uint8   { return r.body[at] }
func (r *record) u32(at int) uint32 { return r.order.u32(r.body[at:]) }
func (r *record) u64(at int) uint64 { return r.order.u64(r.body[at:]) }

// recordReader reads a stream record by record and verifies checksums. It interprets
// BEGIN and END only; its caller interprets the others.
type recordReader struct {
	ctx           context.Context
	r             *bufio.Reader
	order         byteOrder // of the first BEGIN and of all records after it
	header        [headerSize]byte
	rec           record
	largePayload  []byte    // buffer for a payload that does not fit r
	sum           fletcher4 // over all records since BEGIN
	inSubstream   bool      // between BEGIN and END
	inPackageList bool      // that BEGIN is the BEGIN of a package

	onRecord func(rec *record, header []byte) error // called with every record; may be nil

	index  int64 // of the current record
	offset int64 // of the current record
	next   int64 // offset of the next
}

// newRecordReader returns a reader of the stream r. It reads ahead of the records.
func newRecordReader(ctx context.Context, r io.Reader) *recordReader {
	return &recordReader{ctx: ctx, r: bufio.NewReaderSize(r, readAhead), index: -1}
}

// wrap adds the place of the current record to err.
func (rs *recordReader) wrap(err error) error {
	return rs.wrapAt(rs.rec.typ.String(), err)
}

// errorf returns a new error at the current record.
func (rs *recordReader) errorf(format string, args ...any) error {
	return rs.wrap(fmt.Errorf(format, args...))
}

// wrapAt adds the current record's index and offset to err, unless err has them. It
// leaves a cancelled context's cause alone: that is not an error in the stream.
func (rs *recordReader) wrapAt(op string, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) || rs.ctx.Err() != nil && errors.Is(err, context.Cause(rs.ctx)) {
		return err
	}
	return &Error{Record: max(rs.index, 0), Offset: rs.offset, Op: op, Err: err}
}

// read returns the next record, or io.ErrUnexpectedEOF if there is none. A payload is
// not yet verified: its checksum is in the header of the following record, at the latest
// in END. What a caller makes of a payload before that must be revocable.
func (rs *recordReader) read() (*record, error) {
	if rs.ctx.Err() != nil {
		return nil, context.Cause(rs.ctx)
	}
	if err := rs.readHeader(); err != nil {
		return nil, err
	}
	rs.rec = record{typ: recordType(rs.order.u32(rs.header[:])), order: rs.order, body: rs.header[bodyOffset:]}
	if rs.rec.typ > drrRedact {
		return nil, rs.errorf("no such record is known")
	}
	if err := rs.checkHeader(&rs.rec); err != nil {
		return nil, rs.wrap(err)
	}
	size, err := payloadSize(&rs.rec, rs.order.u32(rs.header[4:]))
	if err != nil {
		return nil, rs.wrap(err)
	}
	if rs.rec.payload, err = rs.readPayload(size); err != nil {
		return nil, rs.errorf("its payload of %d bytes: %w", size, unexpectedEOF(err))
	}
	rs.sum.Write(rs.rec.payload, rs.order)
	if rs.onRecord != nil {
		if err := rs.onRecord(&rs.rec, rs.header[:]); err != nil {
			return nil, rs.wrap(err)
		}
	}
	rs.next += headerSize + int64(size)
	return &rs.rec, nil
}

// readHeader reads the next header. It checks the magic number of the first even if that
// header is cut short, so that a short file of another format is reported as such.
func (rs *recordReader) readHeader() error {
	rs.index, rs.offset = rs.index+1, rs.next
	n, err := io.ReadFull(rs.r, rs.header[:])
	atEnd := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case rs.index == 0 && n >= 16:
		if err := rs.checkMagic(n); err != nil {
			return err
		}
	case rs.index == 0 && atEnd:
		return fmt.Errorf("%w: it ends after %d bytes", ErrNotStream, n)
	}
	switch {
	case err == nil:
		return nil
	case atEnd && n == 0:
		return rs.wrapAt("end of the input", fmt.Errorf("more is to come: %w", io.ErrUnexpectedEOF))
	}
	return rs.wrapAt("header", fmt.Errorf("%d of %d bytes: %w", n, headerSize, unexpectedEOF(err)))
}

// checkMagic detects the byte order from the first n bytes of the stream, or returns
// ErrNotStream.
func (rs *recordReader) checkMagic(n int) error {
	for _, rs.order = range []byteOrder{{big: true}, {big: false}} {
		if rs.order.u64(rs.header[bodyOffset:]) == magic && rs.order.u32(rs.header[:]) == uint32(drrBegin) {
			return nil
		}
	}
	return fmt.Errorf("%w: it begins with % x", ErrNotStream, rs.header[:min(n, 16)])
}

// checkHeader compares the checksum in a header with the sum over all bytes before it
// (module/zfs/dmu_recv.c, receive_read_payload_and_next_header). Only the END records
// that libzfs writes around the substreams of a package have no checksum
// (lib/libzfs/libzfs_sendrecv.c, send_conclusion_record).
func (rs *recordReader) checkHeader(rec *record) error {
	switch {
	case rec.typ == drrBegin && rs.inSubstream:
		return errors.New("the dataset before has no END")
	case rec.typ == drrBegin:
		rs.inSubstream, rs.inPackageList = true, rec.u64(8)&3 == compound
		rs.sum = fletcher4{}
		rs.sum.Write(rs.header[:], rs.order)
		return nil
	case rec.typ == drrEnd && !rs.inSubstream:
		if !isZero(rs.header[4:]) {
			return errors.New("the END of a package has something in it")
		}
		return nil
	case !rs.inSubstream:
		return errors.New("it is outside of any dataset")
	}
	before := rs.sum
	rs.sum.Write(rs.header[:sumOffset], rs.order)
	bare := rec.typ == drrEnd && rs.inPackageList && isZero(rec.body[sumSize:])
	if !bare && readSum(rs.header[sumOffset:], rs.order) != rs.sum {
		return errors.New("checksum does not match: it is damaged, or the one before it is")
	}
	rs.sum.Write(rs.header[sumOffset:], rs.order)
	if rec.typ == drrEnd {
		rs.inSubstream = false
		if readSum(rec.body, rs.order) != before { // drr_end.drr_checksum
			return errors.New("checksum of all since BEGIN does not match")
		}
	}
	return nil
}

// isZero reports whether p has only zero bytes.
func isZero(p []byte) bool { return bytes.Count(p, []byte{0}) == len(p) }

// readPayload reads the next size bytes, without a copy if the buffer holds them. The
// next read overwrites the result.
func (rs *recordReader) readPayload(size int) ([]byte, error) {
	if size <= rs.r.Size() {
		p, err := rs.r.Peek(size)
		if err == nil {
			_, err = rs.r.Discard(size)
		}
		return p, err
	}
	if cap(rs.largePayload) < size {
		rs.largePayload = make([]byte, size)
	}
	_, err := io.ReadFull(rs.r, rs.largePayload[:size])
	return rs.largePayload[:size], err
}

// checkEOF returns an error if anything follows the stream: zfs receive would ignore it.
// It also returns the reader's own error, since a reader may verify its input at the
// end.
func (rs *recordReader) checkEOF() error {
	rs.index, rs.offset = rs.index+1, rs.next
	switch _, err := rs.r.Peek(1); {
	case err == nil:
		return rs.wrapAt("end of the stream", errors.New("more follows it"))
	case !errors.Is(err, io.EOF):
		return rs.wrapAt("end of the stream", err)
	}
	return nil
}
