package zstream

import (
	"bufio"
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
	return fmt.Sprintf("record of unknown type %d", uint32(k))
}

// Sizes in a record.
const (
	headerSize = 312 // sizeof (dmu_replay_record_t)
	sumOffset  = 280 // offsetof (…, drr_u.drr_checksum.drr_checksum)
	bodyOffset = 8   // offsetof (…, drr_u)

	maxPayload = 16 << 20 // SPA_MAXBLOCKSIZE (spa.h)
	maxPackage = 64 << 20 // what the list of a -R stream may be
)

// magic is DMU_BACKUP_MAGIC.
const magic = 0x2F5bacbac

// record is one that was read and whose checksum holds. Its slices are
// overwritten by the next.
type record struct {
	kind    kind
	body    []byte // drr_u
	payload []byte
}

func (r *record) u32(at int) uint32 { return binary.LittleEndian.Uint32(r.body[at:]) }
func (r *record) u64(at int) uint64 { return binary.LittleEndian.Uint64(r.body[at:]) }

// records reads a stream, record by record.
type records struct {
	ctx    context.Context
	r      *bufio.Reader
	header [headerSize]byte
	buf    []byte
	sum    fletcher4 // of the substream so far

	n       int64 // of the record in hand
	offset  int64 // of the record in hand
	next    int64 // offset of the next
	current kind
}

func newRecords(ctx context.Context, r io.Reader) *records {
	return &records{ctx: ctx, r: bufio.NewReaderSize(r, 512<<10), n: -1}
}

// fault is err at the record in hand.
func (rs *records) fault(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Record: max(rs.n, 0), Offset: rs.offset, What: rs.current.String(), Err: err}
}

func (rs *records) faultf(format string, args ...any) error {
	return rs.fault(fmt.Errorf(format, args...))
}

// read returns the next record; at the end of the input it is io.EOF.
func (rs *records) read() (*record, error) {
	if err := rs.ctx.Err(); err != nil {
		return nil, context.Cause(rs.ctx)
	}
	rs.n, rs.offset = rs.n+1, rs.next
	n, err := io.ReadFull(rs.r, rs.header[:])
	if rs.n == 0 && n >= bodyOffset+8 {
		if err := checkMagic(rs.header[:]); err != nil {
			return nil, err
		}
	}
	if err != nil {
		if rs.n == 0 && n < headerSize && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
			return nil, fmt.Errorf("%w: it ends after %d bytes", ErrNotStream, n)
		}
		if errors.Is(err, io.EOF) && n == 0 {
			return nil, io.EOF
		}
		return nil, rs.fault(fmt.Errorf("the header: %w", cut(err)))
	}
	rec := &record{kind: kind(binary.LittleEndian.Uint32(rs.header[:])), body: rs.header[bodyOffset:]}
	rs.current = rec.kind
	if rec.kind > redact {
		return nil, rs.faultf("not known")
	}
	before, err := rs.checkHeader(rec)
	if err != nil {
		return nil, err
	}
	if rec.kind == end {
		if want := readSum(rec.body); want != (fletcher4{}) && want != before {
			return nil, rs.faultf("checksum of the substream does not match")
		}
	}
	if err := rs.readPayload(rec); err != nil {
		return nil, err
	}
	return rec, nil
}

// checkMagic tells what is no stream from the first record.
func checkMagic(header []byte) error {
	const swapped = 0xaccbbaf502000000 // magic, from a machine of the other byte order
	switch m := binary.LittleEndian.Uint64(header[bodyOffset:]); {
	case m == magic && binary.LittleEndian.Uint32(header) == uint32(begin):
		return nil
	case m == swapped:
		return fmt.Errorf("%w that can be read yet: it is big-endian", ErrNotStream)
	}
	return fmt.Errorf("%w: it begins with % x", ErrNotStream, header[:16])
}

// checkHeader adds the header to the running checksum, and compares the one that
// stands in it with what came before (dmu_recv.c, receive_read_record). It
// returns the checksum of all before the record.
func (rs *records) checkHeader(rec *record) (before fletcher4, err error) {
	if rec.kind == begin {
		rs.sum = fletcher4{}
		rs.sum.Write(rs.header[:])
		return before, nil
	}
	before = rs.sum
	rs.sum.Write(rs.header[:sumOffset])
	// The END that closes a package has none.
	if want := readSum(rs.header[sumOffset:]); want != (fletcher4{}) && want != rs.sum {
		return before, rs.faultf("checksum of the header does not match")
	}
	rs.sum.Write(rs.header[sumOffset:])
	return before, nil
}

// readPayload reads what follows the header.
func (rs *records) readPayload(rec *record) error {
	size, err := rs.payloadSize(rec)
	if err != nil {
		return err
	}
	if cap(rs.buf) < size {
		rs.buf = make([]byte, size)
	}
	rec.payload = rs.buf[:size]
	if n, err := io.ReadFull(rs.r, rec.payload); err != nil {
		return rs.fault(fmt.Errorf("its payload ends after %d of %d bytes: %w", n, size, cut(err)))
	}
	rs.sum.Write(rec.payload)
	rs.next += headerSize + int64(size)
	return nil
}

// payloadSize is how much follows a header, by the fields of its kind;
// drr_payloadlen must agree where it is set.
func (rs *records) payloadSize(rec *record) (int, error) {
	said := uint64(binary.LittleEndian.Uint32(rs.header[4:]))
	size, limit := uint64(0), uint64(maxPayload)
	switch rec.kind {
	case begin:
		size, limit = said, maxPackage
	case object:
		size = (uint64(rec.u32(20)) + 7) &^ 7 // drr_bonuslen
	case write:
		if c := rec.body[42]; c != 0 { // drr_compressiontype
			return 0, rs.faultf("compressed records (type %d) are not supported yet", c)
		}
		size = rec.u64(24) // drr_logical_size
	case spill:
		if c := rec.body[25]; c != 0 {
			return 0, rs.faultf("compressed records (type %d) are not supported yet", c)
		}
		size = rec.u64(8) // drr_length
	case writeByRef, writeEmbedded, objectRange, redact:
		return 0, rs.faultf("not supported yet")
	}
	if size > limit {
		return 0, rs.faultf("a payload of %d bytes is more than %d", size, limit)
	}
	if said != 0 && said != size {
		return 0, rs.faultf("its payload is said to be %d and %d bytes", said, size)
	}
	if size%4 != 0 {
		return 0, rs.faultf("a payload of %d bytes cannot be", size)
	}
	return int(size), nil
}
