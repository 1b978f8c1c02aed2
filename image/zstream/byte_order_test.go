package zstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// swapWords turns numbers of that many bytes around, all there are in p.
func swapWords(p []byte, size int) {
	for ; len(p) >= size; p = p[size:] {
		slices.Reverse(p[:size])
	}
}

// swapFields turns around the numbers of a header: their places and sizes by kind
// (struct dmu_replay_record). Checksums are sealed anew.
func swapFields(p *testRecord) {
	fields := map[recordType][]int{ // places of 8 bytes; of 4 from 1000 on
		drrBegin: {0, 8, 16, 1024, 1028, 32, 40}, drrObject: {0, 1008, 1012, 1016, 1020, 1028, 32},
		drrFreeObjects: {0, 8, 16}, drrFree: {0, 8, 16, 24}, drrWrite: {0, 1008, 16, 24, 32, 48, 56, 64, 72, 80, 88},
		drrEnd: {32}, drrSpill: {0, 8, 16, 32}, drrWriteEmbedded: {0, 8, 16, 24, 1040, 1044},
	}[p.recordType()]
	for _, at := range fields {
		if at >= 1000 {
			swapWords(p.header[bodyOffset+at-1000:][:4], 4)
		} else {
			swapWords(p.header[bodyOffset+at:][:8], 8)
		}
	}
	swapWords(p.header[:8], 4)
}

// bigEndian is a stream as a machine of the other byte order would have sent it.
func bigEndian(t testing.TB, data []byte, origins ...[]byte) []byte {
	t.Helper()
	e := parseTestStream(t, data)
	dataset := -1
	var all []*zpl
	expandEmbedded(t, e)
	readFiles(t, data, origins, func(f *zpl) { all = append(all, f) })
	for _, p := range e {
		if p.recordType() == drrBegin && p.u64(8)&3 == substream {
			dataset++
		}
		switch k := p.recordType(); {
		case k == drrWrite && zapTypes[objectType(binary.LittleEndian.Uint32(p.header[bodyOffset+8:]))]:
			o := all[dataset].stage.objects.lookup(p.u64(0))
			swapZAP(p.payload, int(o.blockSize))
		case k == drrObject && p.header[bodyOffset+12] == byte(typeSA), k == drrSpill:
			swapSA(t, all[dataset].table, p.payload)
		case k == drrObject && p.header[bodyOffset+12] == byte(typeZnode):
			swapZnode(p.payload)
		}
		swapFields(p)
	}
	return e.encodeIn(byteOrder{big: true})
}

// expandEmbedded makes WRITEs of what is embedded.
func expandEmbedded(t testing.TB, e testStream) {
	types := map[uint64]uint32{}
	for _, p := range e {
		switch p.recordType() {
		case drrObject:
			types[p.u64(0)] = binary.LittleEndian.Uint32(p.header[bodyOffset+8:])
		case drrWriteEmbedded:
			b, err := parseBlock(&record{typ: drrWriteEmbedded, body: p.header[bodyOffset:], payload: p.payload})
			must.NoError(t, err)
			data, err := new(decompressor).decompress(b.compression, b.data, int(b.logicalSize))
			must.NoError(t, err)
			guid := p.u64(24)
			*p = *writeOf(b.object, b.offset, objectType(types[b.object]), data)
			p.setU64(32, guid)
		}
	}
}

var zapTypes = map[objectType]bool{
	typeDirectory: true, typeMaster: true, typeSAMaster: true, typeSARegistry: true, typeSALayouts: true,
}

// swapZAP turns a block of a ZAP around (module/zfs/zap_micro.c, zap_byteswap).
func swapZAP(b []byte, size int) {
	for ; len(b) > size; b = b[size:] {
		swapZAP(b[:size], size)
	}
	switch binary.LittleEndian.Uint64(b) {
	case zapMicroBlock:
		swapWords(b[:64], 8)
		for at := 64; at < len(b); at += 64 {
			swapWords(b[at:at+8], 8)
			swapWords(b[at+8:at+12], 4)
		}
	case zapLeafBlock:
		swapWords(b[:24], 8)
		swapWords(b[24:28], 4)
		swapWords(b[28:36], 2)
		table := leafHeader + len(b)/32*2
		swapWords(b[leafHeader:table], 2)
		for at := table; at+chunkSize <= len(b); at += chunkSize {
			c := b[at : at+chunkSize]
			if c[0] == chunkEntry {
				swapWords(c[2:16], 2)
				swapWords(c[16:24], 8)
			} else {
				swapWords(c[22:24], 2)
			}
		}
	default: // a header, or a table of pointers
		swapWords(b, 8)
	}
}

// swapSA turns attributes around.
func swapSA(t testing.TB, table *saTable, buf []byte) {
	type part struct {
		name  string
		value []byte
	}
	var parts []part
	must.NoError(t, table.each(buf, func(name string, value []byte) error {
		parts = append(parts, part{name, value})
		return nil
	}))
	end := int(binary.LittleEndian.Uint16(buf[4:])>>10) * 8
	swapWords(buf[:4], 4)
	swapWords(buf[4:end], 2)
	for _, p := range parts {
		switch p.name {
		case "ZPL_SYMLINK", "ZPL_DXATTR", "ZPL_SCANSTAMP":
		case "ZPL_DACL_ACES":
			for v := p.value; len(v) > 0; {
				a, size := ACE{Type: binary.LittleEndian.Uint16(v), Flags: binary.LittleEndian.Uint16(v[2:])}, 8
				swapWords(v[:4], 2)
				swapWords(v[4:8], 4)
				if a.hasID() {
					swapWords(v[8:16], 8)
					size = 16
				}
				v = v[size:]
			}
		default:
			swapWords(p.value, 8)
		}
	}
}

// swapZnode turns a znode around, whose list of access control has version 1.
func swapZnode(b []byte) {
	swapWords(b[:184], 8)
	swapWords(b[184:188], 4)
	swapWords(b[188:192], 2)
	for v := b[192:]; len(v) >= 8 && v[4] != 0; v = v[8:] {
		swapWords(v[:4], 2)
		swapWords(v[4:8], 4)
	}
}

// readFiles calls f with the files of each dataset of a stream.
func readFiles(t testing.TB, data []byte, origins [][]byte, f func(*zpl)) {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	must.NoError(t, err)
	l := &snapshotStore{dir: root, withoutContent: true, options: Options{Origins: readers(origins)}.withDefaults()}
	t.Cleanup(func() { must.NoError(t, errors.Join(l.remove(), root.Close())) })
	x, err := l.read(t.Context(), bytes.NewReader(data))
	must.NoError(t, err)
	must.NoError(t, l.eachDataset(x, func(d *Dataset, files *zpl) error { f(files); return nil }))
}

// TestBigEndian reads streams of the other order: what comes of them is the same.
func TestBigEndian(t *testing.T) {
	leak.Check(t)
	for _, name := range []string{"fxsmall_1.0", "fxdn_1.0", "fxxadir_1.0"} {
		t.Run(name, func(t *testing.T) {
			little := stream(t, name+".xz")
			big := bigEndian(t, little)
			want, s, err := index(t, little)
			must.NoError(t, err)
			got, s2, err := index(t, big)
			must.NoError(t, err)
			must.Eq(t, want, got)
			must.Eq(t, s, s2)
			dir, _, err := extract(t, big, Options{})
			must.NoError(t, err)
			checkTree(t, freebsdFiles(t, name+".json.gz"), dir)
		})
	}
	t.Run("an increment", func(t *testing.T) {
		base, next := bare(t).encode(), incrementOf(t, objectAgain(t, passwd, 5), writeOf(passwd, 0, typePlainFile, block512("other"))).encode()
		dir, _, err := extract(t, bigEndian(t, next, base), Options{Origins: readers([][]byte{bigEndian(t, base)})})
		must.NoError(t, err)
		must.Eq(t, "other", content(t, dir, "etc/passwd"))
		_, _, err = extract(t, bigEndian(t, next, base), Options{Origins: readers([][]byte{base})})
		must.ErrorContains(t, err, "its byte order differs from its origin's: not supported")
	})
	t.Run("a checksum is of words in that order", func(t *testing.T) {
		bad := bigEndian(t, smallStream())
		bad[len(bad)/2] ^= 4
		_, _, err := extract(t, bad, Options{})
		must.ErrorContains(t, err, "checksum")
	})
}
