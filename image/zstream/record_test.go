package zstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestExtract_notStream(t *testing.T) {
	leak.Check(t)
	image, err := os.ReadFile("testdata/hello-linux_1.0.xz")
	must.NoError(t, err)
	good := small(t).encode()
	for name, data := range map[string][]byte{
		"nothing":               nil,
		"a few bytes":           good[:8],
		"an archive":            image,
		"text":                  []byte(strings.Repeat("<html>not found</html>\n", 100)),
		"zeros":                 make([]byte, 4096),
		"a record but no BEGIN": good[headerSize+944:],
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := extract(t, data, Options{})
			must.ErrorIs(t, err, ErrNotStream)
			must.StrHasPrefix(t, "not a ZFS send stream: it ", err.Error())
		})
	}
}

// streamWithSpill is small with a spill block, so that it has all kinds of records. It
// says again what is in the bonus of the same object.
func streamWithSpill(t testing.TB) testStream {
	e := small(t)
	p := &testRecord{payload: make([]byte, 512)}
	binary.LittleEndian.PutUint32(p.header[:], uint32(drrSpill))
	p.setU64(0, passwd)
	p.setU64(8, 512)
	copy(p.payload, e.at(1, drrObject, passwd).payload)
	at := e.index(1, drrWrite, passwd) + 1
	return append(e[:at:at], append(testStream{p}, e[at:]...)...)
}

// eachRecordType calls f with the place of one record of each kind, and where it
// begins in the sealed stream.
func eachRecordType(t *testing.T, e testStream, f func(k recordType, offset int64, p *testRecord)) {
	seen, offset := map[recordType]bool{}, int64(0)
	for _, p := range e {
		if k := p.recordType(); !seen[k] && offset > 0 {
			seen[k] = true
			f(k, offset, p)
		}
		offset += headerSize + int64(len(p.payload))
	}
	must.MapLen(t, 7, seen, must.Sprint("BEGIN, OBJECT, FREEOBJECTS, WRITE, FREE, END, SPILL"))
}

func TestExtract_truncated(t *testing.T) {
	leak.Check(t)
	e := streamWithSpill(t)
	data := e.encode()
	cutAt := func(name string, at int64, op string) {
		t.Run(name, func(t *testing.T) {
			_, _, err := extract(t, data[:at], Options{})
			must.ErrorIs(t, err, io.ErrUnexpectedEOF)
			var place *Error
			must.True(t, errors.As(err, &place))
			must.Eq(t, op, place.Op)
			must.Between(t, at-headerSize-oldMaxBlock, place.Offset, at)
		})
	}
	eachRecordType(t, e, func(k recordType, offset int64, p *testRecord) {
		cutAt(fmt.Sprintf("before %v", k), offset, "end of the input")
		cutAt(fmt.Sprintf("in the header of %v", k), offset+100, "header")
		if len(p.payload) > 0 {
			cutAt(fmt.Sprintf("after the header of %v", k), offset+headerSize, k.String())
			cutAt(fmt.Sprintf("in the payload of %v", k), offset+headerSize+7, k.String())
		}
	})
	cutAt("before the END of the package", int64(len(data))-headerSize, "end of the input")
}

func TestExtract_damaged(t *testing.T) {
	leak.Check(t)
	e := streamWithSpill(t)
	data := e.encode()
	flip := func(name string, at int64) {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Clone(data)
			bad[at] ^= 0x10
			_, _, err := extract(t, bad, Options{})
			must.ErrorContains(t, err, "checksum")
		})
	}
	eachRecordType(t, e, func(k recordType, offset int64, p *testRecord) {
		flip(fmt.Sprintf("padding of %v", k), offset+bodyOffset+260)
		if k != drrBegin { // of which the next record holds the checksum
			flip(fmt.Sprintf("checksum of %v", k), offset+sumOffset)
		}
		if len(p.payload) > 0 {
			flip(fmt.Sprintf("payload of %v", k), offset+headerSize+int64(len(p.payload))-1)
		}
		if k == drrEnd {
			flip("sum of all in END", offset+bodyOffset)
			_, offset = e.offset(1, drrEnd, 0)
			flip("padding of a dataset's END", offset+bodyOffset+260)
		}
	})
	t.Run("a checksum of zeros is none", func(t *testing.T) {
		_, offset := e.offset(1, drrWrite, passwd)
		bad := bytes.Clone(data)
		clear(bad[offset+sumOffset : offset+headerSize])
		_, _, err := extract(t, bad, Options{})
		must.ErrorContains(t, err, "WRITE: checksum does not match: it is damaged, or the one before it is")
	})
	t.Run("each END has the sum of its dataset", func(t *testing.T) {
		// The END is sealed again, but not with the sum that it is for.
		p, offset := e.offset(1, drrEnd, 0)
		bad := bytes.Clone(data)
		bad[offset+bodyOffset+3]++
		rs := newRecordReader(t.Context(), bytes.NewReader(bad[:offset]))
		for rs.next < offset {
			_, err := rs.read()
			must.NoError(t, err)
		}
		rs.sum.Write(bad[offset:][:sumOffset], byteOrder{})
		putChecksum(bad[offset+sumOffset:], rs.sum, byteOrder{})
		_, _, err := extract(t, bad, Options{})
		must.ErrorContains(t, err, "END: checksum of all since BEGIN does not match")
		must.Eq(t, drrEnd, p.recordType())
	})
}

// offset is a record and where it begins.
func (e testStream) offset(dataset int, k recordType, object uint64) (p *testRecord, offset int64) {
	at := e.index(dataset, k, object)
	for _, before := range e[:at] {
		offset += headerSize + int64(len(before.payload))
	}
	return e[at], offset
}

func TestExtract_end(t *testing.T) {
	leak.Check(t)
	data := small(t).encode()
	for name, more := range map[string][]byte{
		"a byte":          {0},
		"a second stream": data,
		"many zeros":      make([]byte, 2<<20),
	} {
		t.Run(name+" after the end", func(t *testing.T) {
			_, _, err := extract(t, append(bytes.Clone(data), more...), Options{})
			must.ErrorContains(t, err, "end of the stream: more follows it")
		})
	}
	t.Run("an error of the reader there counts", func(t *testing.T) {
		broken := errors.New("xz: the index does not match")
		_, _, err := extractFrom(t, t.Context(), io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)), Options{})
		must.ErrorIs(t, err, broken)
	})
	t.Run("an error of the reader elsewhere counts", func(t *testing.T) {
		broken := errors.New("connection reset")
		_, _, err := extractFrom(t, t.Context(), io.MultiReader(bytes.NewReader(data[:5000]), iotest.ErrReader(broken)), Options{})
		must.ErrorIs(t, err, broken)
	})
	t.Run("a stream may come byte by byte", func(t *testing.T) {
		_, _, err := extractFrom(t, t.Context(), iotest.OneByteReader(bytes.NewReader(data)), Options{})
		must.NoError(t, err)
	})
}

// refusal is a stream that was changed so that it must be refused.
type refusal struct {
	name   string
	change func(e testStream) testStream
	want   string
}

// extractOnly are refusals of what a tree cannot have, or of content that an index
// passes over.
var extractOnly = []string{
	"its parent has", "lz4, of ", "zstd, of ", "gzip-6, of ", "zle, of ",
}

func testRefusals(t *testing.T, all []refusal) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			data := c.change(small(t)).encode()
			_, _, err := extract(t, data, Options{})
			must.ErrorContains(t, err, c.want)
			must.StrHasPrefix(t, "record ", err.Error())
			if slices.ContainsFunc(extractOnly, func(s string) bool { return strings.Contains(c.want, s) }) {
				return
			}
			_, _, err = index(t, data)
			must.ErrorContains(t, err, c.want, must.Sprint("an index"))
		})
	}
}

func TestExtract_records(t *testing.T) {
	leak.Check(t)
	kindTo := func(k recordType) func(e testStream) testStream {
		return func(e testStream) testStream {
			binary.LittleEndian.PutUint32(e.at(1, drrWrite, passwd).header[:], uint32(k))
			return e
		}
	}
	set := func(k recordType, f func(p *testRecord)) func(e testStream) testStream {
		return func(e testStream) testStream { f(e.at(1, k, passwd)); return e }
	}
	move := func(k recordType, n int) func(e testStream) testStream {
		return func(e testStream) testStream {
			i := e.index(1, k, passwd)
			e[i], e[i+n] = e[i+n], e[i]
			return e
		}
	}
	testRefusals(t, []refusal{
		{"an unknown record", kindTo(11), "record of type 11: no such record is known"},
		{"a reference", kindTo(drrWriteByRef), "WRITE_BYREF: deduplicated streams are not supported"},
		{"an embedded block", kindTo(drrWriteEmbedded), "WRITE_EMBEDDED: object 14: embedded content of type 75, not data"},
		{"a range of an encrypted dataset", kindTo(drrObjectRange), "OBJECT_RANGE: raw (encrypted) streams are not supported"},
		{"a redacted block", kindTo(drrRedact), "REDACT: redacted streams are not supported"},
		{"a BEGIN in a dataset", kindTo(drrBegin), "BEGIN: the dataset before has no END"},
		{"a compressed block", set(drrWrite, func(p *testRecord) { p.header[bodyOffset+42] = 15 }), "WRITE: object 14: a compressed block (lz4), without feature COMPRESSED"},
		{"a payload of gigabytes", set(drrWrite, func(p *testRecord) { p.setU64(24, 1<<40) }), "a payload of 1099511627776 bytes is more than 16777216"},
		{"a negative payload", set(drrWrite, func(p *testRecord) { p.setU64(24, 1<<64-512) }), "is more than 16777216"},
		{"two sizes", set(drrWrite, func(p *testRecord) { p.header[4] = 8 }), "its payload is said to be of 8 bytes, and of 512"},
		{"an odd size", set(drrWrite, func(p *testRecord) { p.setU64(24, 510); p.payload = p.payload[:510] }), "510 bytes, not a multiple of 4"},
		{"half a sector", set(drrWrite, func(p *testRecord) { p.setU64(24, 256); p.payload = p.payload[:256] }), "object 14: invalid block: 256 bytes at offset 0"},
		{"no content", set(drrWrite, func(p *testRecord) { p.setU64(24, 0); p.payload = nil }), "invalid block: 0 bytes"},
		{"an odd place", set(drrWrite, func(p *testRecord) { p.setU64(16, 100) }), "invalid block: 512 bytes at offset 100"},
		{"a place beyond any file", set(drrWrite, func(p *testRecord) { p.setU64(16, 1<<63-512) }), "invalid block: 512 bytes at offset 9223372036854775296"},
		{"a place that overflows", set(drrWrite, func(p *testRecord) { p.setU64(16, 1<<64-512) }), "invalid block: 512 bytes"},
		{"content of another type", set(drrWrite, func(p *testRecord) { p.setU32(8, 20) }), "object 14: it is a file, and content of type 20 is written to it"},
		{"a large block", set(drrWrite, func(p *testRecord) { p.setU64(24, 1<<18); p.payload = make([]byte, 1<<18) }), "a block of 262144 bytes, without feature LARGE_BLOCKS"},
		{"content of nothing", set(drrWrite, func(p *testRecord) { p.setU64(0, 999) }), "object 999: there is none of that number"},
		{"content of an object before", func(e testStream) testStream {
			p := e.at(1, drrWrite, passwd)
			p.setU64(0, binDir)
			p.setU32(8, 20)
			return e
		}, "object 2: it is written to after object 13"},
		{"content twice", func(e testStream) testStream {
			i := e.index(1, drrWrite, passwd)
			return append(e[:i+1:i+1], e[i:]...)
		}, "object 14: offset 0 is written to after what is before 512"},
		{"content before its object", move(drrObject, 2), "WRITE: object 14: there is none of that number"},
		{"an object again", func(e testStream) testStream {
			i := e.index(1, drrObject, passwd)
			return append(e[:i+1:i+1], e[i:]...)
		}, "object 14: it comes after object 14"},
		{"object 0", set(drrObject, func(p *testRecord) { p.setU64(0, 0) }), "object 0: no object has that number"},
		{"object 2^48", set(drrObject, func(p *testRecord) { p.setU64(0, 1<<48) }), "no object has that number"},
		{"an object of no known type", set(drrObject, func(p *testRecord) { p.setU32(8, 256) }), "object 14: type 256 is not known"},
		{"blocks of no size", set(drrObject, func(p *testRecord) { p.setU32(16, 0) }), "blocks of 0 bytes cannot be"},
		{"blocks of a megabyte", set(drrObject, func(p *testRecord) { p.setU32(16, 1<<20) }), "blocks of 1048576 bytes, without feature LARGE_BLOCKS"},
		{"a large dnode", set(drrObject, func(p *testRecord) { p.header[bodyOffset+26] = 2 }), "a dnode of 1024 bytes, without feature LARGE_DNODE"},
		{"a bonus beyond its dnode", set(drrObject, func(p *testRecord) { p.setU32(20, 328); p.payload = make([]byte, 328) }), "328 bytes of attributes in a dnode of 512"},
		{"a raw bonus", set(drrObject, func(p *testRecord) { p.setU32(28, 320) }), "raw (encrypted) objects are not supported"},
		{"attributes of an old file system", set(drrObject, func(p *testRecord) { p.setU32(12, 17) }), "object 14: attributes: 168 bytes, fewer than 264"},
		{"a hole where content is", func(e testStream) testStream {
			i := e.index(1, drrFree, passwd)
			e[i], e[i+1] = e[i+1], e[i]
			e[i+1].setU64(8, 0)
			return e
		}, "FREE: object 14: offset 0 is freed after it was written"},
		{"a hole in nothing", set(drrFree, func(p *testRecord) { p.setU64(0, 999) }), "FREE: object 999: there is none"},
		{"an object taken back", func(e testStream) testStream {
			e.at(1, drrFreeObjects, 0).setU64(0, passwd)
			return e
		}, "FREEOBJECTS: object 14: it is freed after object"},
		{"an END of another", func(e testStream) testStream { e.at(1, drrEnd, 0).setU64(32, 1); return e }, "END: it ends snapshot 0x1, not 0x"},
		{"records outside of a dataset", func(e testStream) testStream {
			i := e.index(1, drrEnd, 0)
			return append(e[:i+1:i+1], e[i-1:]...)
		}, "it is outside of any dataset"},
		{"a full END of the package", func(e testStream) testStream { e[len(e)-1].setU64(100, 1); return e }, "END: the END of a package has something in it"},
	})
}

func TestExtract_spill(t *testing.T) {
	leak.Check(t)
	_, _, err := extract(t, streamWithSpill(t).encode(), Options{})
	must.NoError(t, err)
	for _, c := range []refusal{
		{"of an unknown layout", func(e testStream) testStream {
			binary.LittleEndian.PutUint16(e.at(1, drrSpill, 0).payload[4:], 1<<10|999)
			return e
		}, "attributes: layout 999 is not known"},
		{"twice", func(e testStream) testStream {
			i := e.index(1, drrSpill, 0)
			return append(e[:i+1:i+1], e[i:]...)
		}, "SPILL: object 14: it has a spill block already"},
		{"of nothing", func(e testStream) testStream { e.at(1, drrSpill, 0).setU64(0, 999); return e }, "object 999: there is none"},
		{"compressed", func(e testStream) testStream { e.at(1, drrSpill, 0).header[bodyOffset+25] = 15; return e }, "a compressed spill block (type 15), which only raw (encrypted) streams have"},
		{"too large", func(e testStream) testStream {
			p := e.at(1, drrSpill, 0)
			p.setU64(8, 1<<20)
			p.payload = make([]byte, 1<<20)
			return e
		}, "a spill block of 1048576 bytes cannot be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := extract(t, c.change(streamWithSpill(t)).encode(), Options{})
			must.ErrorContains(t, err, c.want)
		})
	}
}

func TestExtract_bounds(t *testing.T) {
	leak.Check(t)
	data := small(t).encode()
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{MaxObjects: 5}, "there are more than 5 objects"},
		{Options{MaxBytes: 1000}, "there are more than 1000 bytes of content"},
		{Options{MaxDatasets: 1}, "there are more than 1 datasets"},
	} {
		_, _, err := extract(t, data, c.o)
		must.ErrorContains(t, err, c.want)
	}
}

func TestFletcher4(t *testing.T) {
	leak.Check(t)
	// By hand: of words 1, 2, 3 the sums are 1 3 6, 1 4 10, 1 5 15, 1 6 21.
	data := []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}
	var whole fletcher4
	whole.Write(data, byteOrder{})
	must.Eq(t, fletcher4{6, 10, 15, 21}, whole)

	long := bytes.Repeat(data, 99)
	var parts, all fletcher4
	all.Write(long, byteOrder{})
	for i := 0; i < len(long); i += 4 {
		parts.Write(long[i:i+4], byteOrder{})
	}
	must.Eq(t, all, parts)
}
