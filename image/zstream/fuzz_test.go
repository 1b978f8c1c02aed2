package zstream

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// FuzzExtract changes records, whose checksums are then made good. What it
// extracts must stay within its directory, and be gone after an error.
func FuzzExtract(f *testing.F) {
	f.Add([]byte{}, []byte{})
	e := small(f)
	change := func(dataset int, k recordType, object uint64, at, value int) []byte {
		i := e.index(dataset, k, object)
		return binary.LittleEndian.AppendUint64(nil, uint64(i)|uint64(at)<<16|uint64(value)<<32)
	}
	f.Add(change(1, drrWrite, passwd, headerSize, 'x'), []byte{})
	f.Add(change(1, drrWrite, etcDir, headerSize+64, 15), []byte{})
	f.Add(change(1, drrObject, passwd, headerSize+8, 0xff), []byte{})
	f.Add(change(0, drrBegin, 0, bodyOffset+60, '/'), []byte{})
	f.Add([]byte{}, pack(nvlist{{"fss", nvlist{{"0x1", nvlist{{"name", "zroot/fx/hello-linux"}, {"snaps", nvlist{{"a", uint64(1)}}}}}}}}))
	f.Fuzz(func(t *testing.T, changes, list []byte) {
		e := parseTestStream(t, smallStream())
		for ; len(changes) >= 8; changes = changes[8:] {
			c := binary.LittleEndian.Uint64(changes)
			p := e[int(c&0xffff)%len(e)]
			at, value := int(c>>16&0xffff)%(headerSize+len(p.payload)), c>>32
			all := append(p.header[:], p.payload...)
			all = binary.LittleEndian.AppendUint32(all[:at:at], uint32(value))
			if len(all) >= headerSize+len(p.payload) {
				continue
			}
			if at < headerSize {
				copy(p.header[at:], all[at:])
			} else {
				copy(p.payload[at-headerSize:], all[at:])
			}
		}
		if len(list) > 0 {
			e.setList(list)
		}
		extractFuzzed(t, e.encode())
	})
}

// FuzzIncrement changes the records of an increment, which is read on top of what
// it is of.
func FuzzIncrement(f *testing.F) {
	pieces := func(t testing.TB) testStream {
		return incrementOf(t, freeOf(drrFreeObjects, runDir, 0, 1), objectAgain(t, passwd, 600), freeOf(drrFree, passwd, 512, 1<<64-1),
			writeOf(passwd, 0, typePlainFile, block512("other")), objectAgain(t, hiLink, 9))
	}
	base := bare(f).encode()
	f.Add([]byte{})
	f.Add(binary.LittleEndian.AppendUint64(nil, 1|uint64(bodyOffset)<<16|uint64(varDir)<<32))
	f.Add(binary.LittleEndian.AppendUint64(nil, 2|uint64(bodyOffset+16)<<16|uint64(4096)<<32))
	f.Fuzz(func(t *testing.T, changes []byte) {
		e := pieces(t)
		for ; len(changes) >= 8; changes = changes[8:] {
			c := binary.LittleEndian.Uint64(changes)
			p := e[int(c&0xffff)%len(e)]
			at := int(c >> 16 & 0xffff)
			if at+4 <= headerSize {
				binary.LittleEndian.PutUint32(p.header[at:], uint32(c>>32))
			} else if at -= headerSize; at >= 0 && at+4 <= len(p.payload) {
				binary.LittleEndian.PutUint32(p.payload[at:], uint32(c>>32))
			}
		}
		extractFuzzed(t, e.encode(), base)
	})
}

// FuzzUnpack is what must not become more than it should, nor panic.
func FuzzUnpack(f *testing.F) {
	data := bytes.Repeat([]byte("some text\x00\x00\x00\x00"), 60)[:512]
	for c, p := range compressedBlocks(f, data) {
		f.Add(uint8(c), p, uint16(1))
	}
	var u decompressor
	f.Fuzz(func(t *testing.T, c uint8, p []byte, sectors uint16) {
		size := int(sectors) * sector
		if out, err := u.decompress(compression(c), p, size); err == nil {
			must.Len(t, size, out)
		}
	})
}

// FuzzXattrs is lists of extended attributes, and of access control.
func FuzzXattrs(f *testing.F) {
	f.Add(pack(nvlist{{"user.a", []byte{1}}, {"b", []byte{}}, {"freebsd:system:c", []byte("value")}}))
	f.Add(pack(nvlist{{"user.a", []byte("first")}, {"user.a", []byte("last")}}))
	f.Add(pack(nvlist{{"user.a\x00b", []byte("x")}}))
	f.Add([]byte{0, 0, 0, 0x10, 1, 0, 0, 0, 1, 0, 0x40, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		files := &zpl{budget: budget{10, 1000}}
		if list, err := files.xattrs(&znode{xattrs: data}); err == nil {
			must.LessEq(t, maxXattrs, len(list))
		}
		for _, o := range []byteOrder{{}, {big: true}} {
			if list, err := parseACEs(o, data); err == nil {
				must.LessEq(t, len(data)/8, len(list))
			}
		}
	})
}

// FuzzRecords is given whole streams, of which few get beyond the first record.
func FuzzRecords(f *testing.F) {
	f.Add(smallStream()[:8<<10])
	f.Add(bigEndian(f, smallStream())[:8<<10])
	f.Fuzz(func(t *testing.T, data []byte) { extractFuzzed(t, data) })
}

func extractFuzzed(t *testing.T, data []byte, origins ...[]byte) {
	parent := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(parent, "dir"), 0o700))
	root, err := os.OpenRoot(filepath.Join(parent, "dir"))
	must.NoError(t, err)
	defer root.Close()
	defer func() { must.NoError(t, removeEntries(root)) }()
	_, err = Extract(t.Context(), bytes.NewReader(data), root, Options{MaxBytes: 64 << 20, MaxObjects: 1 << 12, Origins: readers(origins)})
	there, readErr := os.ReadDir(parent)
	must.NoError(t, readErr)
	must.Len(t, 1, there)
	there, readErr = os.ReadDir(filepath.Join(parent, "dir"))
	must.NoError(t, readErr)
	if err != nil {
		must.SliceEmpty(t, there)
	}
	// What has a tree has an index, of the same names.
	s, indexErr := Index(t.Context(), bytes.NewReader(data), Options{
		MaxBytes: 64 << 20, MaxObjects: 1 << 12, Origins: readers(origins), Scratch: t.TempDir(),
	}, func(Entry) error { return nil })
	if err == nil {
		must.NoError(t, indexErr)
		must.NotNil(t, s)
	}
	for _, e := range there {
		must.False(t, strings.HasPrefix(e.Name(), ".zstream-"))
	}
}

func FuzzNvlist(f *testing.F) {
	f.Add(pack(nvlist{{"a", nil}, {"b", "c"}, {"d", nvlist{{"e", uint64(1)}}}, {"f", []byte{1}}}))
	f.Add(small(f)[0].payload)
	for _, data := range ambiguousLists() {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := unpackNvlist(data)
		if err != nil {
			return
		}
		_, _ = parsePackageList(data)
		if hasOpaqueValue(list) {
			return
		}
		again, err := unpackNvlist(pack(list))
		must.NoError(t, err)
		must.Eq(t, len(list), len(again))
	})
}

func hasOpaqueValue(l nvlist) bool {
	for _, p := range l {
		if _, ok := p.value.(opaque); ok {
			return true
		}
		if in, ok := p.value.(nvlist); ok && hasOpaqueValue(in) {
			return true
		}
	}
	return false
}

func FuzzZAP(f *testing.F) {
	f.Add(fatZAP(f), uint16(32), false)
	f.Add(microZAP("one", 1), uint16(1), true)
	f.Fuzz(func(t *testing.T, data []byte, sectors uint16, big bool) {
		z := zap{data: bytes.NewReader(data), size: int64(len(data)), block: int64(sectors) * sector, order: byteOrder{big}}
		n := 0
		_ = z.each(func(e zapAttribute) error { n += 1 + len(e.name)/arrayBytes + len(e.value)/arrayBytes; return nil })
		// No chunk is read twice.
		must.LessEq(t, len(data)/chunkSize+1, n)
	})
}

func FuzzAttributes(f *testing.F) {
	e := small(f)
	registry := func() zap {
		p := e.at(1, drrWrite, 35)
		return zap{data: bytes.NewReader(p.payload), size: int64(len(p.payload)), block: int64(len(p.payload))}
	}
	layouts := zap{data: bytes.NewReader(fatZAP(f)), size: 32 << 10, block: 16 << 10}
	table, err := newSATable(registry(), layouts)
	must.NoError(f, err)
	for _, object := range []uint64{passwd, hiLink, etcDir} {
		f.Add(e.at(1, drrObjectType, object).payload)
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		n := &znode{hasAttr: map[string]bool{}}
		if err := table.each(buf, func(name string, value []byte) error { return n.set(byteOrder{}, name, value) }); err == nil {
			_ = n.check()
		}
	})
}
