package zstream

import (
	"errors"
	"fmt"
)

// payloadSize returns the size of a record's payload from the fields of its type
// (DRR_OBJECT_PAYLOAD_SIZE, DRR_WRITE_PAYLOAD_SIZE, DRR_SPILL_PAYLOAD_SIZE). If
// drr_payloadlen is set it must agree. The size must be a multiple of 4, the word of
// Fletcher-4; senders pad to 8.
func payloadSize(rec *record, said uint32) (int, error) {
	size, err := payloadSizeOf(rec, said)
	switch {
	case err != nil:
		return 0, err
	case size > maxPayload:
		return 0, fmt.Errorf("a payload of %d bytes is more than %d", size, maxPayload)
	case said != 0 && uint64(said) != size:
		return 0, fmt.Errorf("its payload is said to be of %d bytes, and of %d", said, size)
	case size%4 != 0:
		return 0, fmt.Errorf("a payload of %d bytes, not a multiple of 4", size)
	}
	return int(size), nil
}

// payloadSizeOf returns the size without the checks of payloadSize; said counts only for
// BEGIN. It refuses the record types that only encrypted, deduplicated and redacted
// streams have.
func payloadSizeOf(rec *record, said uint32) (uint64, error) {
	switch rec.typ {
	case drrBegin:
		return uint64(said), nil
	case drrObject:
		return (uint64(rec.u32(20)) + 7) &^ 7, nil // drr_bonuslen
	case drrWrite:
		if rec.u8(42) == 0 { // drr_compressiontype
			return rec.u64(24), nil // drr_logical_size
		}
		return rec.u64(88), nil // drr_compressed_size
	case drrSpill:
		// A spill block is sent as it is on disk only with the whole dataset: raw.
		if c := rec.u8(25); c != 0 || rec.u64(32) != 0 { // drr_compressiontype, drr_compressed_size
			return 0, fmt.Errorf("a compressed spill block (type %d), which only raw (encrypted) streams have", c)
		}
		return rec.u64(8), nil // drr_length
	case drrWriteEmbedded:
		if p := rec.u32(44); p > maxEmbeddedPayload { // drr_psize
			return 0, fmt.Errorf("%d bytes embedded in a block pointer, more than %d", p, maxEmbeddedPayload)
		}
		return (uint64(rec.u32(44)) + 7) &^ 7, nil
	case drrWriteByRef:
		return 0, errors.New("deduplicated streams are not supported (zstream redup makes them plain)")
	case drrObjectRange:
		return 0, errors.New("raw (encrypted) streams are not supported")
	case drrRedact:
		return 0, errors.New("redacted streams are not supported: they lack what was redacted")
	}
	return 0, nil
}

// maxEmbeddedPayload is BPE_PAYLOAD_SIZE (OpenZFS include/sys/spa.h).
const maxEmbeddedPayload = 112

// block is the block of a WRITE or a WRITE_EMBEDDED record. Sizes are in bytes.
type block struct {
	object, offset uint64
	logicalSize    uint64 // of the data when decompressed
	length         uint64 // of the range in the object: logicalSize, or more if padded with zeros
	objectType     uint32 // of the object; 0 if the record does not have it
	compression    compression
	data           []byte
}

// parseBlock decodes such a record. Offsets in struct drr_write: object 0, type 8,
// offset 16, logical_size 24, compressiontype 42. In struct drr_write_embedded: object
// 0, offset 8, length 16, compression 32, etype 33, lsize 40, psize 44.
func parseBlock(rec *record) (block, error) {
	if rec.typ == drrWrite {
		b := block{object: rec.u64(0), offset: rec.u64(16), logicalSize: rec.u64(24), objectType: rec.u32(8)}
		b.length, b.compression, b.data = b.logicalSize, compression(rec.u8(42)), rec.payload
		return b, nil
	}
	b := block{object: rec.u64(0), offset: rec.u64(8), logicalSize: uint64(rec.u32(40)), length: rec.u64(16)}
	b.compression, b.data = compression(rec.u8(32)), rec.payload[:rec.u32(44)]
	switch etype := rec.u8(33); { // BP_EMBEDDED_TYPE_DATA is 0
	case etype != 0:
		return b, objectError(b.object, fmt.Errorf("embedded content of type %d, not data", etype))
	case b.logicalSize > b.length || b.logicalSize == 0:
		return b, objectError(b.object, fmt.Errorf("%d bytes are embedded for %d", b.logicalSize, b.length))
	}
	return b, nil
}
