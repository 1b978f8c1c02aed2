package zstream

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// fatZAP is a ZAP of two blocks, header and leaf: the layouts of attributes.
func fatZAP(t testing.TB) []byte {
	t.Helper()
	var data []byte
	for _, p := range small(t) {
		if p.recordType() == drrBegin && data != nil {
			break
		}
		if p.recordType() == drrWrite && p.u64(0) == 36 {
			data = append(data, p.payload...)
		}
	}
	must.Len(t, 32<<10, data)
	return data
}

// microZAP is one in a block: names and values in turn.
func microZAP(entries ...any) []byte {
	block := make([]byte, 512)
	binary.LittleEndian.PutUint64(block, zapMicroBlock)
	for i := 0; i < len(entries); i += 2 {
		e := block[64+32*i:]
		binary.LittleEndian.PutUint64(e, uint64(entries[i+1].(int)))
		copy(e[14:], entries[i].(string))
	}
	return block
}

// allEntries reads a whole ZAP.
func allEntries(data []byte, block int64) (map[string][]uint64, error) {
	m := map[string][]uint64{}
	err := zap{data: bytes.NewReader(data), size: int64(len(data)), block: block}.each(func(e zapAttribute) error {
		m[string(e.name)] = slices.Clone(e.value)
		return nil
	})
	return m, err
}

func TestZAP(t *testing.T) {
	leak.Check(t)
	t.Run("micro", func(t *testing.T) {
		got, err := allEntries(microZAP("one", 1, "", 7, "three", 3), 512)
		must.NoError(t, err)
		must.Eq(t, map[string][]uint64{"one": {1}, "three": {3}}, got)
	})
	t.Run("fat", func(t *testing.T) {
		got, err := allEntries(fatZAP(t), 16<<10)
		must.NoError(t, err)
		// Of a new file: MODE SIZE GEN UID GID PARENT FLAGS ATIME MTIME CTIME
		// CRTIME LINKS DACL_COUNT DACL_ACES.
		must.SliceLen(t, 14, got["2"])
		must.Eq(t, 5, got["2"][0])
	})
	t.Run("what was never written is zero", func(t *testing.T) {
		got, err := allEntries(microZAP("one", 1)[:200], 512)
		must.NoError(t, err)
		must.MapLen(t, 1, got)
	})
}

func TestZAP_damaged(t *testing.T) {
	leak.Check(t)
	const leafAt = 16 << 10
	le := binary.LittleEndian
	entryAt := func(d []byte) int { // the first entry's chunk
		for at := leafAt + leafHeader + 1024; ; at += chunkSize {
			if d[at] == chunkEntry {
				return at
			}
		}
	}
	for name, c := range map[string]struct {
		change func(d []byte) []byte
		want   string
	}{
		"a table beyond the end":  {func(d []byte) []byte { le.PutUint64(d[32:], 20); return d }, "its table of pointers is beyond its end"},
		"a table of 2^64":         {func(d []byte) []byte { le.PutUint64(d[32:], 64); return d }, "its table of pointers is beyond its end"},
		"a table elsewhere":       {func(d []byte) []byte { le.PutUint64(d[16:], 1<<60); d[24] = 1; return d }, "a block at 1152921504606846976, for its table of pointers, is beyond its end"},
		"a leaf beyond the end":   {func(d []byte) []byte { le.PutUint64(d[8<<10:], 2); return d }, "block 2 is beyond its end"},
		"a leaf of 2^64":          {func(d []byte) []byte { le.PutUint64(d[8<<10:], 1<<64-1); return d }, "is beyond its end"},
		"the header as a leaf":    {func(d []byte) []byte { le.PutUint64(d[8<<10:], 0); return d }, "a leaf of type 0x8000000000000001"},
		"a bad magic number":      {func(d []byte) []byte { d[8] = 0; return d }, "bad magic number"},
		"a leaf's magic number":   {func(d []byte) []byte { d[leafAt+24] = 0; return d }, "a leaf of magic number"},
		"keys that are no names":  {func(d []byte) []byte { d[96] |= 2; return d }, "its keys are no names"},
		"another prefix":          {func(d []byte) []byte { d[leafAt+16] = 1; return d }, "a leaf for 0x1 of 0 bits"},
		"a prefix too long":       {func(d []byte) []byte { d[leafAt+32] = 60; return d }, "a leaf for 0x0 of 60 bits"},
		"half of the hashes":      {func(d []byte) []byte { d[leafAt+32] = 1; return d }, "in the wrong chain"},
		"too few entries":         {func(d []byte) []byte { d[leafAt+30]++; return d }, "a leaf is said to have 1 entries more"},
		"an odd integer":          {func(d []byte) []byte { d[entryAt(d)+1] = 3; return d }, "integers of 3 bytes cannot be"},
		"no name":                 {func(d []byte) []byte { le.PutUint16(d[entryAt(d)+6:], 0); return d }, "a name of 0 bytes"},
		"a name of 60,000 bytes":  {func(d []byte) []byte { le.PutUint16(d[entryAt(d)+6:], 60000); return d }, "a name of 60000 bytes"},
		"a value of 120,000":      {func(d []byte) []byte { le.PutUint16(d[entryAt(d)+10:], 60000); return d }, "a value of 120000"},
		"a chain out of the leaf": {func(d []byte) []byte { le.PutUint16(d[entryAt(d)+4:], 60000); return d }, "a chain of chunks is broken"},
		"a chain to an entry":     {func(d []byte) []byte { le.PutUint16(d[entryAt(d)+4:], 0); return d }, "a chain of chunks is broken"},
		"a name without an end":   {func(d []byte) []byte { le.PutUint16(d[entryAt(d)+6:], 1); return d }, "a key that is no name"},
		"an unknown type":         {func(d []byte) []byte { d[0] = 9; return d }, "a block of type 0x8000000000000009 is not known"},
		"nothing":                 {func(d []byte) []byte { return nil }, "block 0 is beyond its end"},
		"a chain in a loop, of many entries": {func(d []byte) []byte {
			first := entryAt(d)
			chunks := d[leafAt+leafHeader+1024:]
			entry := bytes.Clone(d[first : first+chunkSize])
			le.PutUint16(entry[4:], 1)
			le.PutUint16(entry[6:], 1000)
			chunks[chunkSize] = chunkArray
			le.PutUint16(chunks[chunkSize+22:], 1)
			copy(chunks[chunkSize+1:], strings.Repeat("n", 21))
			copy(chunks, entry)
			return d
		}, "a key that is no name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := allEntries(c.change(fatZAP(t)), 16<<10)
			must.ErrorContains(t, err, c.want)
			must.StrHasPrefix(t, "ZAP: ", err.Error())
		})
	}
	for _, block := range []int64{0, 1, 513, 1 << 20, -512} {
		_, err := allEntries(fatZAP(t), block)
		must.ErrorContains(t, err, "cannot be")
	}
	_, err := allEntries(fatZAP(t), 24<<10)
	must.ErrorContains(t, err, "leaves of 24576 bytes cannot be")
}

func TestAttributeTable(t *testing.T) {
	leak.Check(t)
	layouts := zap{data: bytes.NewReader(fatZAP(t)), size: 32 << 10, block: 16 << 10}
	registry := func(entries ...any) zap {
		return zap{data: bytes.NewReader(microZAP(entries...)), size: 512, block: 512}
	}
	size := func(n, size int) int { return size<<24 | n }
	for _, c := range []struct {
		registry zap
		want     string
	}{
		{registry("ZPL_MODE", size(5, 4)), "registry of attributes: ZPL_MODE has 4 bytes, not 8"},
		{registry("ZPL_MTIME", size(1, 0)), "registry of attributes: ZPL_MTIME has 0 bytes, not 16"},
		{registry("ZPL_MODE", size(5, 8), "ZPL_SIZE", size(5, 8)), `registry of attributes: "ZPL_SIZE" has the number of "ZPL_MODE"`},
		{layouts, "registry of attributes: ZAP: \""},
	} {
		_, err := newSATable(c.registry, layouts)
		must.ErrorContains(t, err, c.want)
	}
	_, err := newSATable(registry("ZPL_MODE", size(5, 8)), registry("x", 1))
	must.EqError(t, err, `layouts of attributes: "x" with 1 attributes is none`)

	// Layout 1, of attributes 5 and 6, of which the second is not registered.
	table, err := newSATable(registry("ZPL_MODE", size(5, 8), "ZPL_SYMLINK", size(7, 0)), registry("2", 5, "3", 6, "4", 7))
	must.NoError(t, err)
	buf := make([]byte, 24)
	binary.LittleEndian.PutUint32(buf, saMagic)
	read := func(layout uint16) (got []string, err error) {
		binary.LittleEndian.PutUint16(buf[4:], 1<<10|layout)
		err = table.each(buf, func(name string, value []byte) error {
			got = append(got, name+" "+string(value))
			return nil
		})
		return got, err
	}
	_, err = read(3)
	must.EqError(t, err, "attributes: number 6 of layout 3 is not registered")
	binary.LittleEndian.PutUint16(buf[6:], 3)
	copy(buf[8:], "abcdefgh")
	got, err := read(4)
	must.NoError(t, err)
	must.Eq(t, []string{"ZPL_SYMLINK abc"}, got)
	binary.LittleEndian.PutUint16(buf[6:], 17)
	_, err = read(4)
	must.EqError(t, err, "attributes: ZPL_SYMLINK is beyond their end")
}
