package zstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/shoenig/test/must"
)

// testRecord is a record that a test may change.
type testRecord struct {
	header  [headerSize]byte
	payload []byte
}

// testStream is a stream in pieces.
type testStream []*testRecord

func (p *testRecord) recordType() recordType {
	return recordType(binary.LittleEndian.Uint32(p.header[:]))
}

func (p *testRecord) u64(at int) uint64 { return binary.LittleEndian.Uint64(p.header[bodyOffset+at:]) }

func (p *testRecord) setU64(at int, v uint64) {
	binary.LittleEndian.PutUint64(p.header[bodyOffset+at:], v)
}

func (p *testRecord) setU32(at int, v uint32) {
	binary.LittleEndian.PutUint32(p.header[bodyOffset+at:], v)
}

// parseTestStream takes a stream apart.
func parseTestStream(t testing.TB, data []byte) testStream {
	t.Helper()
	var e testStream
	for rs := newRecordReader(context.Background(), bytes.NewReader(data)); ; {
		rec, err := rs.read()
		if err != nil {
			must.ErrorIs(t, err, io.ErrUnexpectedEOF)
			return e
		}
		e = append(e, &testRecord{rs.header, bytes.Clone(rec.payload)})
	}
}

// encode puts a stream together, with checksums that hold.
func (e testStream) encode() []byte {
	return e.encodeIn(byteOrder{})
}

// encodeIn encodes a stream in the given byte order.
func (e testStream) encodeIn(o byteOrder) []byte {
	var out bytes.Buffer
	_ = e.writeIn(&out, o)
	return out.Bytes()
}

func (e testStream) writeTo(w io.Writer) error { return e.writeIn(w, byteOrder{}) }

func (e testStream) writeIn(w io.Writer, o byteOrder) error {
	var sum fletcher4
	open, list := false, false
	for _, p := range e {
		h := p.header
		switch {
		case recordTypeIn(p, o) == drrBegin:
			open, list, sum = true, o.u64(p.header[bodyOffset+8:])&3 == compound, fletcher4{}
		case !open:
		default:
			if recordTypeIn(p, o) == drrEnd {
				putChecksum(h[bodyOffset:], sum, o)
				open = false
			}
			sum.Write(h[:sumOffset], o)
			if recordTypeIn(p, o) != drrEnd || !list {
				putChecksum(h[sumOffset:], sum, o)
			}
		}
		if recordTypeIn(p, o) == drrBegin {
			sum.Write(h[:], o)
		} else {
			sum.Write(h[sumOffset:], o)
		}
		sum.Write(p.payload[:len(p.payload)&^3], o)
		if _, err := w.Write(h[:]); err != nil {
			return err
		}
		if _, err := w.Write(p.payload); err != nil {
			return err
		}
	}
	return nil
}

func recordTypeIn(p *testRecord, o byteOrder) recordType { return recordType(o.u32(p.header[:])) }

func putChecksum(p []byte, sum fletcher4, o byteOrder) {
	for i, v := range sum {
		if o.big {
			binary.BigEndian.PutUint64(p[8*i:], v)
		} else {
			binary.LittleEndian.PutUint64(p[8*i:], v)
		}
	}
}

// index is where the first record of that kind is, of an object of a dataset.
func (e testStream) index(dataset int, k recordType, object uint64) int {
	return slices.IndexFunc(e, func(p *testRecord) bool {
		if p.recordType() == drrBegin && p.u64(8)&3 == substream {
			dataset--
		}
		return dataset < 0 && p.recordType() == k && (object == 0 || p.u64(0) == object)
	})
}

// at is that record.
func (e testStream) at(dataset int, k recordType, object uint64) *testRecord {
	return e[e.index(dataset, k, object)]
}

// Objects of hello's dataset m.
const (
	binDir  = 2
	etcDir  = 3
	varDir  = 11 // with nothing but runDir in it
	runDir  = 12
	bigFile = 13
	passwd  = 14
	hiLink  = 17
)

// small is the stream of hello with little of the program in it.
func small(t testing.TB) testStream {
	t.Helper()
	return parseTestStream(t, smallStream())
}

var smallStream = sync.OnceValue(func() []byte {
	t := &testing.T{}
	e := parseTestStream(t, stream(t, "hello-linux_1.0.xz"))
	first := e.index(1, drrWrite, bigFile)
	n := 0
	e = slices.DeleteFunc(e, func(p *testRecord) bool {
		drop := n > first && p.recordType() == drrWrite && p.u64(0) == bigFile
		n++
		return drop
	})
	// One block, which is a fraction of the file.
	e[first].payload = bytes.Repeat([]byte("program "), 64)
	e[first].setU64(24, 512)
	return e.encode()
})

// entries are those of a microzap: 64 bytes each, the name 14 in.
func (p *testRecord) entry(i int) []byte { return p.payload[64+64*i : 128+64*i] }

func (p *testRecord) setName(i int, name string) {
	clear(p.entry(i)[14:])
	copy(p.entry(i)[14:], name)
}

func (p *testRecord) setValue(i int, v uint64) { binary.LittleEndian.PutUint64(p.entry(i), v) }
