package zstream

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// buildZAP is a ZAP as it stands in its object.
func buildZAP(t testing.TB, z zapWriter) (data []byte, block int64) {
	t.Helper()
	if z.isMicro() {
		data = z.microBlock()
		return data, int64(len(data))
	}
	must.NoError(t, z.eachFatBlock(func(b []byte) error {
		must.Eq(t, fatBlock, len(b))
		data = append(data, b...)
		return nil
	}))
	return data, fatBlock
}

// lookUp finds a name in a ZAP of numbers as ZFS does: by its hash, without a
// look at anything else (zap_lookup, zap_leaf_lookup; mze_find for a microzap).
func lookUp(t testing.TB, z zapWriter, data []byte, name string) (v uint64, found bool) {
	t.Helper()
	le := binary.LittleEndian
	h := z.hash(name)
	if le.Uint64(data) == zapMicroBlock {
		cds := map[uint32]bool{}
		for at := microEntry; at < len(data); at += microEntry {
			e := data[at : at+microEntry]
			base, _, _ := bytes.Cut(e[14:], []byte{0})
			if len(base) == 0 || z.hash(string(base)) != h {
				continue
			}
			must.False(t, cds[le.Uint32(e[8:])], must.Sprint("two of the same hash and cd"))
			cds[le.Uint32(e[8:])] = true
			if string(base) == name {
				v, found = le.Uint64(e), true
			}
		}
		return v, found
	}
	shift := le.Uint64(data[32:])
	table := data[fatBlock/2 : fatBlock]
	if n := le.Uint64(data[24:]); n != 0 {
		must.Eq(t, n*fatBlock/8, 1<<shift)
		table = data[le.Uint64(data[16:])*fatBlock:][:n*fatBlock]
	}
	leaf := data[le.Uint64(table[8*(h>>(64-shift)):])*fatBlock:][:fatBlock]
	length := le.Uint16(leaf[32:])
	if le.Uint64(leaf) != zapLeafBlock || le.Uint64(leaf[16:]) != h>>(64-length) {
		t.Fatalf("%q leads to a block of type %#x, prefix %#x", name, le.Uint64(leaf), le.Uint64(leaf[16:]))
	}
	chunk := func(i uint16) []byte { return leaf[leafHeader+2*leafHashes+int(i)*chunkSize:][:chunkSize] }
	last := uint32(0)
	for i := le.Uint16(leaf[leafHeader+2*(h>>(64-leafHashShift-length)&(leafHashes-1)):]); i != chainEnd; {
		c := chunk(i)
		if c[0] != chunkEntry || le.Uint32(c[12:]) < last {
			t.Fatalf("chunk %d of a chain is of type %d, its cd %d after %d", i, c[0], le.Uint32(c[12:]), last)
		}
		last = le.Uint32(c[12:])
		var text []byte
		for j, left := le.Uint16(c[4:]), int(le.Uint16(c[6:])); left > 0; left -= arrayBytes {
			text = append(text, chunk(j)[1:1+min(left, arrayBytes)]...)
			j = le.Uint16(chunk(j)[1+arrayBytes:])
		}
		if le.Uint64(c[16:]) == h && string(text) == name+"\x00" {
			return binary.BigEndian.Uint64(chunk(le.Uint16(c[8:]))[1:]), true
		}
		i = le.Uint16(c[2:])
	}
	return 0, false
}

// checkZAP holds a ZAP to its entries: read as a whole, and looked up.
func checkZAP(t testing.TB, entries []zapEntry) {
	t.Helper()
	z := newZAP(77, entries)
	data, block := buildZAP(t, z)
	want := map[string]uint64{}
	for _, e := range entries {
		want[e.name] = e.v
		if v, found := lookUp(t, z, data, e.name); !found || v != e.v {
			t.Fatalf("%q: got %d, %v, want %d", e.name, v, found, e.v)
		}
	}
	read := zap{data: bytes.NewReader(data), size: int64(len(data)), block: block}
	must.NoError(t, read.each(func(e zapAttribute) error {
		if v, err := e.integer(); err != nil || want[string(e.name)] != v {
			t.Fatalf("%q: got %d, %v, want %d", e.name, v, err, want[string(e.name)])
		}
		delete(want, string(e.name))
		return nil
	}))
	must.MapEmpty(t, want)
	_, found := lookUp(t, z, data, "there is no such name")
	must.False(t, found)
	if block == fatBlock {
		checkFree(t, data)
	}
}

// checkFree follows the chains of free chunks, and holds the header to what
// there is.
func checkFree(t testing.TB, data []byte) {
	t.Helper()
	le := binary.LittleEndian
	must.Eq(t, int(le.Uint64(data[56:]))*fatBlock, len(data))
	leaves, entries := uint64(0), uint64(0)
	for at := fatBlock; at < len(data); at += fatBlock {
		leaf := data[at : at+fatBlock]
		if le.Uint64(leaf) != zapLeafBlock {
			continue
		}
		leaves++
		entries += uint64(le.Uint16(leaf[30:]))
		free := uint16(0)
		for i := le.Uint16(leaf[34:]); i != chainEnd; free++ {
			c := leaf[leafHeader+2*leafHashes+int(i)*chunkSize:][:chunkSize]
			if c[0] != chunkFree {
				t.Fatalf("chunk %d is free, of type %d", i, c[0])
			}
			i = le.Uint16(c[1+arrayBytes:])
		}
		must.Eq(t, le.Uint16(leaf[28:]), free)
	}
	must.Eq(t, leaves, le.Uint64(data[64:]))
	must.Eq(t, entries, le.Uint64(data[72:]))
}

// numberedEntries are n entries with names of up to that many bytes.
func numberedEntries(n, length int, seed int64) []zapEntry {
	r := rand.New(rand.NewSource(seed))
	entries := make([]zapEntry, n)
	for i := range entries {
		name := fmt.Sprintf("%d", i)
		entries[i] = zapEntry{name: name + strings.Repeat("n", r.Intn(max(1, length-len(name)+1))), v: r.Uint64()}
	}
	return entries
}

func TestZAP_written(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct{ n, length int }{
		{0, 0}, {1, 49}, {6, 49}, {7, 49}, {8, 49}, {2047, 49}, {2048, 49}, {1, 50}, {1, 255},
		{300, 255}, {20_000, 12}, {20_000, 255}, {100_000, 30},
	} {
		t.Run(fmt.Sprintf("%d names of up to %d bytes", c.n, c.length), func(t *testing.T) {
			entries := numberedEntries(c.n, c.length, int64(c.n))
			if c.n > 0 {
				entries[0].name = "0" + strings.Repeat("x", c.length-1)
			}
			checkZAP(t, entries)
			micro := c.n <= 2047 && c.length < 50
			must.Eq(t, micro, newZAP(1, entries).isMicro())
		})
	}
	t.Run("an external table of pointers", func(t *testing.T) {
		z := newZAP(1, numberedEntries(100_000, 255, 1))
		data, _ := buildZAP(t, z)
		must.Greater(t, 1, binary.LittleEndian.Uint64(data[24:]))
	})
}

// sameHash are names whose hashes are the same, found by trying.
func sameHash(t testing.TB, z zapWriter, n int) []zapEntry {
	t.Helper()
	byHash := map[uint64]string{}
	var entries []zapEntry
	r := rand.New(rand.NewSource(1))
	for i := 0; len(entries) < 2*n; i++ {
		name := fmt.Sprintf("%x", r.Uint64())
		h := z.hash(name)
		if other, ok := byHash[h]; ok {
			entries = append(entries, zapEntry{name: other, v: uint64(i)}, zapEntry{name: name, v: uint64(i + 1)})
			delete(byHash, h)
			continue
		}
		byHash[h] = name
	}
	return entries
}

func TestZAP_sameHash(t *testing.T) {
	leak.Check(t)
	entries := sameHash(t, newZAP(77, nil), 5)
	checkZAP(t, entries)
	checkZAP(t, append(entries, zapEntry{name: strings.Repeat("a fat one", 10)}))
}

// TestZAP_hash is of names in a microzap and a fat ZAP that FreeBSD 14.2 made.
func TestZAP_hash(t *testing.T) {
	leak.Check(t)
	e := small(t)
	for i, p := range e {
		if p.recordType() != drrWrite || len(p.payload) < fatBlock || binary.LittleEndian.Uint64(p.payload) != zapLeafBlock {
			continue
		}
		header := e[i-1].payload // the block before it, of the same object
		z := zapWriter{salt: binary.LittleEndian.Uint64(header[80:])}
		chunks := p.payload[leafHeader+2*leafHashes:]
		for at := 0; at+chunkSize <= len(chunks); at += chunkSize {
			c := chunks[at:]
			if c[0] != chunkEntry {
				continue
			}
			l := zapLeaf{block: p.payload, chunks: chunks}
			name, err := l.readArray(nil, binary.LittleEndian.Uint16(c[4:]), int(binary.LittleEndian.Uint16(c[6:])))
			must.NoError(t, err)
			must.Eq(t, binary.LittleEndian.Uint64(c[16:]), z.hash(string(name[:len(name)-1])))
			return
		}
	}
	t.Fatal("there is no leaf in the fixture")
}

// FuzzZAP_written has what is written looked up, and read.
func FuzzZAP_written(f *testing.F) {
	f.Add([]byte("a/bc/def"), uint64(1))
	f.Add(bytes.Repeat([]byte("name/other/"), 3), uint64(1<<63))
	long := []byte(strings.Repeat("x", 255) + "/" + strings.Repeat("y", 50))
	for i := range 3000 {
		long = fmt.Appendf(long, "/%d", i)
	}
	f.Add(long, uint64(3))
	f.Fuzz(func(t *testing.T, names []byte, v uint64) {
		var entries []zapEntry
		seen := map[string]bool{}
		for _, n := range strings.Split(string(names), "/") {
			if checkName(n, maxName) == nil && !seen[n] {
				seen[n] = true
				entries = append(entries, zapEntry{name: n, v: v + uint64(len(entries))})
			}
		}
		checkZAP(t, entries)
	})
}

func TestWrite_manyNames(t *testing.T) {
	leak.Check(t)
	if testing.Short() {
		t.Skip("makes 100,000 files")
	}
	var headers []tar.Header
	for i := range 100_000 {
		h := tar.Header{Name: fmt.Sprintf("short/%d", i), Typeflag: tar.TypeSymlink, Linkname: "x"}
		if i%40 == 0 {
			h.Name = fmt.Sprintf("long/%0255d", i)
		}
		headers = append(headers, h)
	}
	dir, s, err := extract(t, writeStream(t, filesOfTar(t, archiveOf(t, headers...))), Options{})
	must.NoError(t, err)
	must.Eq(t, 100_002, s.Datasets[1].Files)
	for d, n := range map[string]int{"short": 97_500, "long": 2_500} {
		names, err := os.ReadDir(filepath.Join(dir, "m", d))
		must.NoError(t, err)
		must.Len(t, n, names)
	}
}

// TestTrivialACL holds lists to those that FreeBSD 14.2 made for these modes, and
// to the one that POSIX has for a mode that denies what it gives to others.
func TestTrivialACL(t *testing.T) {
	leak.Check(t)
	for mode, want := range map[uint32]string{
		0o755: "00000010bf011e0000004020a900120000000040a9001200",
		0o644: "000000109f011e0000004020890012000000004089001200",
		0o555: "00000010b9011e0000004020a900120000000040a9001200",
		0o604: "00000010010000000100402001000000000000109f011e0000004020880012000000004089001200",
		0o077: "010000102700000000000010" + "98011e00" + "00004020af001200" + "00000040af001200",
	} {
		must.Eq(t, want, hex.EncodeToString(trivialACL(mode)), must.Sprintf("%o", mode))
	}
}

func TestNvlist_pack(t *testing.T) {
	leak.Check(t)
	list := nvlist{{"tosnap", "1795392222"}, {"number", uint64(1) << 63}, {"empty", nvlist{}},
		{"in it", nvlist{{"bytes", []byte("odd")}, {"none", []byte{}}}}}
	back, err := unpackNvlist(list.pack())
	must.NoError(t, err)
	must.Eq(t, fmt.Sprint(list), fmt.Sprint(back))

	t.Run("as libzfs packed it", func(t *testing.T) {
		e := small(t)
		packed := e[0].payload
		list, err := unpackNvlist(packed)
		must.NoError(t, err)
		must.Eq(t, packed, list.pack())
	})
}
