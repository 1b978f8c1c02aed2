package store_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/zstream"
)

// Kinds of records, and where the stream has what is edited (OpenZFS
// include/sys/zfs_ioctl.h, struct dmu_replay_record).
const (
	drrBegin = iota
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

	drrHeader = 312
	drrSum    = 280
)

var drrNames = []string{"BEGIN", "OBJECT", "FREEOBJECTS", "WRITE", "FREE", "END", "BYREF", "SPILL", "EMBEDDED", "RANGE", "REDACT"}

// hostileRecord is one of a stream, to be changed.
type hostileRecord struct {
	head    [drrHeader]byte
	payload []byte
}

func (r *hostileRecord) kind() int               { return int(binary.LittleEndian.Uint32(r.head[:])) }
func (r *hostileRecord) setKind(k int)           { binary.LittleEndian.PutUint32(r.head[:], uint32(k)) }
func (r *hostileRecord) u32(at int) uint32       { return binary.LittleEndian.Uint32(r.head[8+at:]) }
func (r *hostileRecord) u64(at int) uint64       { return binary.LittleEndian.Uint64(r.head[8+at:]) }
func (r *hostileRecord) set8(at int, v byte)     { r.head[8+at] = v }
func (r *hostileRecord) set32(at int, v uint32)  { binary.LittleEndian.PutUint32(r.head[8+at:], v) }
func (r *hostileRecord) set64(at int, v uint64)  { binary.LittleEndian.PutUint64(r.head[8+at:], v) }
func (r *hostileRecord) setPayload(p []byte)     { r.payload = p; r.setLength(uint32(len(p))) }
func (r *hostileRecord) setLength(length uint32) { binary.LittleEndian.PutUint32(r.head[4:], length) }

// bonus and setBonus are numbers of a file's attributes, by their place: all files
// begin with mode, size, gen, uid, gid, parent, flags, four times, links.
func (r *hostileRecord) bonusAt(i int) []byte {
	return r.payload[int(binary.LittleEndian.Uint16(r.payload[4:])>>10)*8+8*i:]
}
func (r *hostileRecord) setBonus(i int, v uint64) { binary.LittleEndian.PutUint64(r.bonusAt(i), v) }

// hostileStream is a stream in records.
type hostileStream []*hostileRecord

// hostileSplit takes a stream apart that this package has written.
func hostileSplit(data []byte) (s hostileStream) {
	for len(data) > 0 {
		r := &hostileRecord{}
		data = data[copy(r.head[:], data):]
		n := uint64(0)
		switch r.kind() {
		case drrBegin:
			n = uint64(binary.LittleEndian.Uint32(r.head[4:]))
		case drrObject:
			n = uint64(r.u32(20)+7) &^ 7
		case drrWrite:
			n = r.u64(24)
		case drrSpill:
			n = r.u64(8)
		}
		r.payload, data = bytes.Clone(data[:n]), data[n:]
		s = append(s, r)
	}
	return s
}

// hostileSum is Fletcher-4 over little-endian words.
type hostileSum [4]uint64

func (f *hostileSum) add(p []byte) {
	for ; len(p) >= 4; p = p[4:] {
		f[0] += uint64(binary.LittleEndian.Uint32(p))
		f[1] += f[0]
		f[2] += f[1]
		f[3] += f[2]
	}
}

func (f *hostileSum) put(p []byte) {
	for i, v := range f {
		binary.LittleEndian.PutUint64(p[8*i:], v)
	}
}

// seal puts the stream together, with checksums that hold.
func (s hostileStream) seal() []byte {
	var out bytes.Buffer
	var sum hostileSum
	open, list := false, false
	for _, r := range s {
		h := r.head
		switch {
		case r.kind() == drrBegin:
			open, list, sum = true, r.u64(8)&3 == 2, hostileSum{}
			sum.add(h[:])
		case open:
			if r.kind() == drrEnd {
				sum.put(h[8:])
				open = false
			}
			sum.add(h[:drrSum])
			if r.kind() != drrEnd || !list {
				sum.put(h[drrSum:])
			}
			sum.add(h[drrSum:])
		}
		sum.add(r.payload)
		out.Write(h[:])
		out.Write(r.payload)
	}
	return out.Bytes()
}

// offset is where record i begins.
func (s hostileStream) offset(i int) (n int) {
	for _, r := range s[:i] {
		n += drrHeader + len(r.payload)
	}
	return n
}

// dataset is the index of the BEGIN of a dataset: 0 is the top one, 1 is m.
func (s hostileStream) dataset(n int) int {
	return slices.IndexFunc(s, func(r *hostileRecord) bool {
		if r.kind() == drrBegin {
			n--
		}
		return n < -1
	})
}

// index is the first record of that kind, of an object of m; object 0 is any.
func (s hostileStream) index(kind int, object uint64) int {
	from := s.dataset(1)
	return from + slices.IndexFunc(s[from:], func(r *hostileRecord) bool {
		return r.kind() == kind && (object == 0 || r.u64(0) == object)
	})
}

func (s hostileStream) at(kind int, object uint64) *hostileRecord { return s[s.index(kind, object)] }

// insert puts records before the one at i.
func (s *hostileStream) insert(i int, r ...*hostileRecord) { *s = slices.Insert(*s, i, r...) }

// name is an entry of a directory of m, as a microzap has it: 64 bytes, of which the
// first 8 are the number of the object, with the type of the file in the upper four
// bits, and the name is 14 in.
func (s hostileStream) name(name string) []byte {
	const directory = 20 // DMU_OT_DIRECTORY_CONTENTS
	for _, r := range s[s.dataset(1):] {
		if r.kind() != drrWrite || r.u32(8) != directory {
			continue
		}
		for at := 64; at < len(r.payload); at += 64 {
			if e := r.payload[at : at+64]; string(bytes.TrimRight(e[14:], "\x00")) == name {
				return e
			}
		}
	}
	panic("the stream has no " + name)
}

// object is the number that a name is of.
func (s hostileStream) object(name string) uint64 {
	return binary.LittleEndian.Uint64(s.name(name)) & (1<<48 - 1)
}

func (s hostileStream) rename(from, to string) {
	e := s.name(from)
	clear(e[14:])
	copy(e[14:], to)
}

func (s hostileStream) point(name string, object uint64, kind uint64) {
	binary.LittleEndian.PutUint64(s.name(name), object|kind<<60)
}

// hostileRecordOf is a record with nothing in it.
func hostileRecordOf(kind int) *hostileRecord {
	r := &hostileRecord{}
	r.setKind(kind)
	return r
}

func (r *hostileRecord) clone() *hostileRecord {
	return &hostileRecord{r.head, bytes.Clone(r.payload)}
}

// setName changes what a BEGIN is of.
func (r *hostileRecord) setName(name string) {
	clear(r.head[8+48 : 8+304])
	copy(r.head[8+48:8+304], name)
}

// hostileGood is a good image with something of each kind: a file of several blocks
// with a hole, one with two names, links, one of them with a spill block.
var hostileGood = sync.OnceValue(func() []byte {
	at := time.Unix(1_700_000_000, 0)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	put := func(h tar.Header, content string) {
		h.ModTime, h.Size = at, int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			panic(err)
		}
	}
	put(tar.Header{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	put(tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:0:0\n")
	put(tar.Header{Name: "etc/again", Typeflag: tar.TypeLink, Linkname: "etc/passwd"}, "")
	put(tar.Header{Name: "big", Mode: 0o644}, strings.Repeat("x", 300_000)+strings.Repeat("\x00", 300_000)+"y")
	put(tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/etc", Mode: 0o777}, "")
	put(tar.Header{Name: "long", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("long/", 60), Mode: 0o777}, "")
	if err := w.Close(); err != nil {
		panic(err)
	}
	m, err := zstream.ReadTar(context.Background(), &archive, zstream.TarOptions{Missing: at})
	if err != nil {
		panic(err)
	}
	defer m.Close()
	return hostileWrite(m)
})

// hostileWrite is the stream of an image with that for m.
func hostileWrite(m *zstream.Files) []byte {
	at := time.Unix(1_700_000_000, 0)
	top, err := zstream.NewFiles(map[string]string{"conf/pot.conf": "pot.level=0\n", "conf/fscomp.conf": ""}, at)
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	o := zstream.WriteOptions{Dataset: "tank/jails/bad", Snapshot: "1700000000", Created: at}
	if _, err := zstream.Write(context.Background(), &b, o, zstream.FileSystem{Files: top}, zstream.FileSystem{Name: "m", Files: m}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// The editor changes nothing by itself, and what it makes is a good stream.
func TestHostile_editor(t *testing.T) {
	leak.Check(t)
	good := hostileGood()
	s := hostileSplit(good)
	must.True(t, bytes.Equal(good, s.seal()))
	kinds := map[int]bool{}
	for _, r := range s {
		kinds[r.kind()] = true
	}
	must.MapContainsKeys(t, kinds, []int{drrBegin, drrObject, drrWrite, drrFree, drrSpill, drrEnd})
	s[0].setPayload(hostileListOf(good).pack())
	_, err := zstream.Survey(t.Context(), bytes.NewReader(s.seal()), zstream.Options{})
	must.NoError(t, err)
}
