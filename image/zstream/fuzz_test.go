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
	change := func(dataset int, k kind, object uint64, at, value int) []byte {
		i := e.index(dataset, k, object)
		return binary.LittleEndian.AppendUint64(nil, uint64(i)|uint64(at)<<16|uint64(value)<<32)
	}
	f.Add(change(1, write, passwd, headerSize, 'x'), []byte{})
	f.Add(change(1, write, etcDir, headerSize+64, 15), []byte{})
	f.Add(change(1, object, passwd, headerSize+8, 0xff), []byte{})
	f.Add(change(0, begin, 0, bodyOffset+60, '/'), []byte{})
	f.Add([]byte{}, pack(nvlist{{"fss", nvlist{{"0x1", nvlist{{"name", "zroot/fx/hello-linux"}, {"snaps", nvlist{{"a", uint64(1)}}}}}}}}))
	f.Fuzz(func(t *testing.T, changes, list []byte) {
		e := edit(t, smallStream())
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
		extractFuzzed(t, e.seal())
	})
}

// FuzzRecords is given whole streams, of which few get beyond the first record.
func FuzzRecords(f *testing.F) {
	f.Add(smallStream()[:8<<10])
	f.Fuzz(extractFuzzed)
}

func extractFuzzed(t *testing.T, data []byte) {
	parent := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(parent, "dir"), 0o700))
	root, err := os.OpenRoot(filepath.Join(parent, "dir"))
	must.NoError(t, err)
	defer root.Close()
	defer func() { must.NoError(t, empty(root)) }()
	_, err = Extract(t.Context(), bytes.NewReader(data), root, Options{MaxBytes: 64 << 20, MaxObjects: 1 << 12})
	there, readErr := os.ReadDir(parent)
	must.NoError(t, readErr)
	must.Len(t, 1, there)
	there, readErr = os.ReadDir(filepath.Join(parent, "dir"))
	must.NoError(t, readErr)
	if err != nil {
		must.SliceEmpty(t, there)
	}
	for _, e := range there {
		must.False(t, strings.HasPrefix(e.Name(), ".zstream-"))
	}
}

func FuzzNvlist(f *testing.F) {
	f.Add(pack(nvlist{{"a", nil}, {"b", "c"}, {"d", nvlist{{"e", uint64(1)}}}, {"f", []byte{1}}}))
	f.Add(small(f)[0].payload)
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := unpackList(data)
		if err != nil {
			return
		}
		_, _ = parseContents(data)
		if hasOpaque(list) {
			return
		}
		again, err := unpackList(pack(list))
		must.NoError(t, err)
		must.Eq(t, len(list), len(again))
	})
}

func hasOpaque(l nvlist) bool {
	for _, p := range l {
		if _, ok := p.value.(opaque); ok {
			return true
		}
		if in, ok := p.value.(nvlist); ok && hasOpaque(in) {
			return true
		}
	}
	return false
}

func FuzzZAP(f *testing.F) {
	f.Add(fat(f), uint16(32))
	f.Add(micro("one", 1), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, sectors uint16) {
		z := zap{data: bytes.NewReader(data), size: int64(len(data)), block: int64(sectors) * sector}
		n := 0
		_ = z.each(func(e entry) error { n += 1 + len(e.name)/arrayBytes + len(e.value)/arrayBytes; return nil })
		// No chunk is read twice.
		must.LessEq(t, len(data)/chunkSize+1, n)
	})
}

func FuzzAttributes(f *testing.F) {
	e := small(f)
	registry := func() zap {
		p := e.at(1, write, 35)
		return zap{data: bytes.NewReader(p.payload), size: int64(len(p.payload)), block: int64(len(p.payload))}
	}
	layouts := zap{data: bytes.NewReader(fat(f)), size: 32 << 10, block: 16 << 10}
	table, err := newAttributeTable(registry(), layouts)
	must.NoError(f, err)
	for _, object := range []uint64{passwd, hiLink, etcDir} {
		f.Add(e.at(1, kindObject, object).payload)
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		n := &node{has: map[string]bool{}}
		if err := table.each(buf, func(name string, value []byte) error { return n.set(order{}, name, value) }); err == nil {
			_ = n.check()
		}
	})
}
