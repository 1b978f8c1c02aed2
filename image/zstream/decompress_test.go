package zstream

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// compressedBlocks is data in each of the ways that ZFS has, padded to sectors as on disk.
func compressedBlocks(t testing.TB, data []byte) map[compression][]byte {
	t.Helper()
	all := map[compression][]byte{}
	frame := make([]byte, 4, 4+lz4.CompressBlockBound(len(data)))
	n, err := lz4.CompressBlock(data, frame[4:cap(frame)], nil)
	must.NoError(t, err)
	binary.BigEndian.PutUint32(frame, uint32(n))
	all[compressLZ4] = frame[:4+n]

	w, err := zstd.NewWriter(nil)
	must.NoError(t, err)
	z := bytes.TrimPrefix(w.EncodeAll(data, nil), zstdMagic)
	head := binary.BigEndian.AppendUint32(nil, uint32(len(z)))
	all[compressZstd] = append(append(head, 3, 0, 0x28, 0xa5), z...)

	var g bytes.Buffer
	zw := zlib.NewWriter(&g)
	_, err = zw.Write(data)
	must.NoError(t, err)
	must.NoError(t, zw.Close())
	all[compressGzip+5] = g.Bytes()
	all[compressZLE] = packZLE(data)
	all[compressLZJB] = packLZJB(data)
	for c, p := range all {
		all[c] = append(p, make([]byte, -len(p)&(sector-1))...)
	}
	return all
}

// packZLE is decompressZLE the other way.
func packZLE(data []byte) (out []byte) {
	for len(data) > 0 {
		most := data[:min(len(data), 192)]
		if zeros := len(most) - len(bytes.TrimLeft(most, "\x00")); zeros > 0 {
			out = append(out, byte(zeros+63))
			data = data[zeros:]
			continue
		}
		n := bytes.IndexByte(data, 0)
		if n < 0 || n > 64 {
			n = min(64, len(data))
		}
		out = append(append(out, byte(n-1)), data[:n]...)
		data = data[n:]
	}
	return out
}

// packLZJB copies what was 7 bytes before, where it is the same.
func packLZJB(data []byte) (out []byte) {
	const back = 7
	flags, bit := 0, 8
	for n := 0; n < len(data); bit++ {
		if bit == 8 {
			flags, bit = len(out), 0
			out = append(out, 0)
		}
		length := 0
		for n >= back && length < 66 && n+length < len(data) && data[n+length] == data[n+length-back] {
			length++
		}
		if length < 3 {
			out = append(out, data[n])
			n++
			continue
		}
		out[flags] |= 1 << bit
		out = append(out, byte(length-3)<<2, back)
		n += length
	}
	return out
}

func TestUnpack(t *testing.T) {
	leak.Check(t)
	random := make([]byte, 4096)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(random)
	for name, data := range map[string][]byte{
		"text":   []byte(strings.Repeat("abcdefgabcdefghijklmnop", 400))[:8192],
		"zeros":  make([]byte, 128<<10),
		"mixed":  append(append(make([]byte, 700), random[:100]...), make([]byte, 1248)...),
		"random": random,
		"a byte": {1},
	} {
		var u decompressor
		for range 2 {
			for c, p := range compressedBlocks(t, data) {
				if name == "random" && c == compressLZ4 && binary.BigEndian.Uint32(p) == 0 {
					continue // it says that it does not become smaller
				}
				got, err := u.decompress(c, p, len(data))
				must.NoError(t, err, must.Sprint(name, c))
				must.True(t, bytes.Equal(data, got), must.Sprint(name, c))
			}
		}
		got, err := u.decompress(compressOff, data, len(data))
		must.NoError(t, err)
		must.Eq(t, data, got)
	}
}

// TestUnpack_vector is LZJB and ZLE by hand.
func TestUnpack_vector(t *testing.T) {
	leak.Check(t)
	var u decompressor
	got, err := u.decompress(compressLZJB, []byte{0b0000_1000, 'a', 'b', 'c', 1 << 2, 3, 'd'}, 8)
	must.NoError(t, err)
	must.Eq(t, "abcabcad", string(got))
	got, err = u.decompress(compressZLE, []byte{1, 'h', 'i', 66, 0, '!'}, 6)
	must.NoError(t, err)
	must.Eq(t, "hi\x00\x00\x00!", string(got))
}

func TestUnpack_refused(t *testing.T) {
	leak.Check(t)
	data := []byte(strings.Repeat("abcdefgabcdefghijklmnop", 400))[:8192]
	for c, p := range compressedBlocks(t, data) {
		var u decompressor
		for _, size := range []int{len(data) - 1, len(data) + 1, len(data) / 2, maxPayload} {
			if (c == compressLZJB || c == compressZLE) && size <= len(data)+1 {
				continue // they have no end of their own, and are padded
			}
			_, err := u.decompress(c, p, size)
			must.ErrorContains(t, err, c.String()+", of ", must.Sprint(c, size))
		}
		for _, n := range []int{0, 1, 3, 4, 7, 8, 12} {
			_, err := u.decompress(c, p[:n], len(data))
			must.Error(t, err, must.Sprint(c, n))
		}
	}
	var u decompressor
	for _, c := range []struct {
		c    compression
		p    string
		want string
	}{
		{compressLZ4, "\xff\xff\xff\xff1234", "lz4, of 8 bytes to 512: it says that it has 4294967295 bytes"},
		{compressZstd, "\x00\x00\x00\x09\x03\x00\x00\x001234", "zstd, of 12 bytes to 512: it says that it has 9 bytes"},
		{compressLZJB, "\x01\x04\x03abc", "lzjb, of 6 bytes to 512: a copy of what was 3 bytes before"},
		{compressLZJB, "\x02a\x04\x00abc", "lzjb, of 7 bytes to 512: a copy of what was 0 bytes before"},
		{compressZLE, "\xff\xff\xff\xff\xff", "zle, of 5 bytes to 512: there are 192"},
		{4, "empty", "compression 4, of 5 bytes to 512: it is not known"},
		{200, "later", "compression 200, of 5 bytes to 512: it is not known"},
		{compressOff, "short", "5 bytes that are not compressed, for 512"},
	} {
		_, err := u.decompress(c.c, []byte(c.p), 512)
		must.EqError(t, err, c.want)
	}
}

// TestExtract_bomb is content that says it is larger than it is, and that is.
func TestExtract_bomb(t *testing.T) {
	leak.Check(t)
	zeros := make([]byte, 1<<20)
	bomb := func(c compression, claimed uint64) func(e testStream) testStream {
		return func(e testStream) testStream {
			p := e.at(1, drrWrite, passwd)
			p.payload = compressedBlocks(t, zeros)[c]
			p.header[bodyOffset+42] = byte(c)
			p.setU64(24, claimed)
			p.setU64(88, uint64(len(p.payload)))
			b := e.at(1, drrBegin, 0)
			b.setU64(8, b.u64(8)|(featureCompressed|featureLZ4|featureZstd|featureLargeBlocks)<<2)
			return e
		}
	}
	for _, c := range []compression{compressLZ4, compressZstd, compressGzip + 5, compressZLE} {
		testRefusals(t, []refusal{
			{c.String() + " of less", bomb(c, 8192), "WRITE: object 14: " + c.String() + ", of "},
			{c.String() + " of more", bomb(c, maxPayload), "WRITE: object 14: " + c.String() + ", of "},
			{c.String() + " of too much", bomb(c, maxPayload+512), "WRITE: object 14: invalid block: 16777728 bytes at offset 0"},
			{c.String() + " of 2^63", bomb(c, 1<<63), "invalid block: "},
		})
	}
	many := bomb(compressZstd, 1<<20)(small(t))
	_, _, err := extract(t, setAttribute(passwd, "ZPL_SIZE", 1<<20)(many).encode(), Options{})
	must.NoError(t, err)
	_, _, err = extract(t, many.encode(), Options{MaxBytes: 1 << 19})
	must.ErrorContains(t, err, "WRITE: there are more than 524288 bytes of content", must.Sprint("what is unpacked counts"))
}

func TestExtract_embedded(t *testing.T) {
	leak.Check(t)
	make := func(change func(p *testRecord)) func(e testStream) testStream {
		return func(e testStream) testStream {
			i := e.index(1, drrWrite, passwd)
			lzjb := packLZJB(bytes.Repeat([]byte("embed! "), 74)[:512])
			must.LessEq(t, maxEmbeddedPayload, len(lzjb))
			p := newPiece(drrWriteEmbedded, passwd, append(lzjb, bytes.Repeat([]byte{0}, -len(lzjb)&7)...))
			p.setU64(16, 512)
			p.header[bodyOffset+32] = byte(compressLZJB)
			p.setU32(40, 512)
			p.setU32(44, uint32(len(lzjb)))
			change(p)
			e[i] = p
			b := e.at(1, drrBegin, 0)
			b.setU64(8, b.u64(8)|featureEmbedData<<2)
			return e
		}
	}
	dir, _, err := extract(t, make(func(*testRecord) {})(setAttribute(passwd, "ZPL_SIZE", 26)(small(t))).encode(), Options{})
	must.NoError(t, err)
	must.Eq(t, "embed! embed! embed! embed", content(t, dir, "m/etc/passwd"))
	testRefusals(t, []refusal{
		{"of another type", make(func(p *testRecord) { p.header[bodyOffset+33] = 1 }), "object 14: embedded content of type 1, not data"},
		{"larger than a pointer", make(func(p *testRecord) { p.setU32(44, 113) }), "113 bytes embedded in a block pointer, more than 112"},
		{"larger than its block", make(func(p *testRecord) { p.setU32(40, 1024) }), "1024 bytes are embedded for 512"},
		{"for more than one block", make(func(p *testRecord) { p.setU64(16, 1024) }), "object 14: a block of 1024 bytes in an object with blocks of 512"},
		{"of no size", make(func(p *testRecord) { p.setU32(40, 0) }), "0 bytes are embedded for 512"},
		{"of gigabytes", make(func(p *testRecord) { p.setU32(40, 1<<31); p.setU64(16, 1<<31) }), "invalid block: 2147483648 bytes"},
		{"in lz4 without the feature", make(func(p *testRecord) { p.header[bodyOffset+32] = byte(compressLZ4) }), "a block in lz4, without that feature"},
		{"without the feature", func(e testStream) testStream {
			e = make(func(*testRecord) {})(e)
			b := e.at(1, drrBegin, 0)
			b.setU64(8, b.u64(8)&^(featureEmbedData<<2))
			return e
		}, "an embedded block, without feature EMBED_DATA"},
	})
}
