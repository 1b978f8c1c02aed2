package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
)

// hostileFiles are what a server may have for bad_1.0.
type hostileFiles struct {
	name            string
	xz, meta, skein []byte // skein nil: that of the others
	want            string
}

// Of an .xz of imagetest's: the header of the stream, then that of the one block
// (the .xz file format, sections 2.1.1 and 3.1).
const (
	xzBlock = 12
	xzDict  = xzBlock + 4
)

// resum makes the CRC32 of p[from:to] hold, which follows it.
func resum(p []byte, from, to int) []byte {
	binary.LittleEndian.PutUint32(p[to:], crc32.ChecksumIEEE(p[from:to]))
	return p
}

// hostileXZ are files that lie.
func hostileXZ() []hostileFiles {
	good := imagetest.XZ(hostileGood())
	index := len(good) - 12 - 4*(1+int(binary.LittleEndian.Uint32(good[len(good)-8:])))
	with := func(change func(p []byte) []byte) []byte { return change(bytes.Clone(good)) }
	flip := func(at int) []byte {
		return with(func(p []byte) []byte { p[(at+len(p))%len(p)] ^= 0x40; return p })
	}
	const decode = "decode bad_1.0.xz of REF: "
	page, none := []byte("<!DOCTYPE html><html><body>Sorry</body></html>\n"), []byte(imagetest.NoMeta)
	other := imagetest.Skein([]byte("other"), none)
	return []hostileFiles{
		{"an empty file", nil, none, nil, decode + "empty, not an xz file"},
		{"a web page for the image", page, none, nil, decode + "not an xz file"},
		{"a cut file", good[:len(good)/2], none, nil, decode + "xz stream is cut off after "},
		{"a file without its last byte", good[:len(good)-1], none, nil, decode + "xz stream is cut off after "},
		{"something behind it", append(bytes.Clone(good), "garbage."...), none, nil, decode + "something else after the end of the xz stream"},
		{"a second stream, of another image", append(bytes.Clone(good), good...), none, nil, "import REF: record 51 at offset"},
		{"a header that is damaged", flip(8), none, nil, decode + "xz: "},
		{"a block header that is damaged", flip(xzDict), none, nil, decode + "xz: "},
		{"a footer that is damaged", flip(-8), none, nil, decode + "xz: "},
		{"a check that is wrong", flip(index - 1), none, nil, decode + "xz: "},
		{"an index that is damaged", flip(index + 2), none, nil, decode + "xz: "},
		{"an index that lies", with(func(p []byte) []byte {
			p[index+3] ^= 1
			return resum(p, index, len(p)-16)
		}), none, nil, decode + "xz: "},
		{"a dictionary of 4 GiB", with(func(p []byte) []byte {
			p[xzDict] = 40
			return resum(p, xzBlock, xzBlock+8)
		}), none, nil, decode + "xz stream needs a dictionary of more than 256 MiB"},
		{"a filter that nobody knows", with(func(p []byte) []byte {
			p[xzBlock+2] = 0x7f
			return resum(p, xzBlock, xzBlock+8)
		}), none, nil, decode + "xz: "},
		{"another image than the digest's", good, none, other, "verify REF: image is not what was asked for: want " + imagetest.Shown(other) + ", got "},
		{"the digest of the file without its .meta", good, none, imagetest.Skein(good, nil), "verify REF: image is not what was asked for: want "},
		{"a web page for the .meta", good, page, nil, "verify bad_1.0.xz.meta of REF: a web page, not what an image was cloned from"},
		{"a web page for the .skein", good, none, page, "verify bad_1.0.xz.skein of REF: a web page, not a digest"},
		{"no digest", good, none, []byte{}, "verify bad_1.0.xz.skein of REF: empty, not a digest"},
		{"a digest of another kind", good, none, []byte(strings.Repeat("a", 64) + "\n"), "verify bad_1.0.xz.skein of REF: "},
		{"a .meta that leads out", good, []byte("../../etc:1@2\n"), nil, "verify bad_1.0.xz.meta of REF: name: must be letters"},
		{"a .meta without an end", good, []byte("-"), nil, "verify bad_1.0.xz.meta of REF: no newline at the end"},
		{"a .meta of two lines", good, []byte("-\n-\n"), nil, "verify bad_1.0.xz.meta of REF: more than one line"},
		{"a .meta of a MiB", good, make([]byte, 1<<20), nil, "fetch SRC/bad_1.0.xz.meta: 1048576 bytes, more than the 1024 allowed"},
		{"a bomb of a file's content", hostileBomb(drrWrite), none, nil, decode + "it has more than the 8388608 bytes allowed when it is decoded"},
		{"a bomb of records", hostileBomb(drrFree), none, nil, decode + "it has more than the 8388608 bytes allowed when it is decoded"},
	}
}

// hostileSize is what bombs decode to, in bytes: more than the bound.
const hostileSize = 12 << 20

// hostileBomb is a small .xz of a stream of hostileSize bytes in which each record is good: of
// one file that goes on and on, or of its holes.
func hostileBomb(kind int) []byte {
	s := hostileSplit(hostileGood())
	i := s.index(drrWrite, s.object("big"))
	step := len(s[i].payload) + drrHeader
	if kind == drrFree {
		step = drrHeader
	}
	more := make(hostileStream, 0, hostileSize/step)
	for n := range uint64(hostileSize / step) {
		r := hostileRecordOf(kind)
		r.set64(0, s.object("big"))
		if kind == drrWrite {
			r = s[i].clone()
			clear(r.payload)
			r.set64(16, (n+1)<<17)
		} else {
			r.set64(8, (n+1)<<17)
			r.set64(16, 1<<17)
		}
		more = append(more, r)
	}
	return hostileSqueeze(slices.Insert(s, i+1, more...).seal())
}

// hostileSqueeze compresses, in blocks as they are.
func hostileSqueeze(data []byte) []byte {
	var b bytes.Buffer
	w, err := xz.NewWriter(context.Background(), &b, xz.WriteOptions{Command: "-", Workers: 2})
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

// hostileZeros is a bomb of more than 1000:1.
func hostileZeros() []byte { return hostileSqueeze(make([]byte, hostileSize)) }

func TestHostile_bomb(t *testing.T) {
	leak.Check(t)
	must.Greater(t, 1000, hostileSize/len(hostileZeros()))
	must.Greater(t, 100, hostileSize/len(hostileBomb(drrWrite)))
}

// hostileArtifacts imports all of those files.
func hostileArtifacts(t *testing.T, r *hostileRig) {
	for _, c := range hostileXZ() {
		t.Run(c.name, func(t *testing.T) {
			r.server.Add("bad", "1.0", c.xz, string(c.meta))
			if c.skein != nil {
				r.server.Put("bad_1.0.xz.skein", c.skein)
			}
			must.StrHasPrefix(t, c.want, r.refused(t))
		})
	}
	t.Run("zeros without end", func(t *testing.T) {
		r.server.Add("bad", "1.0", hostileZeros(), imagetest.NoMeta)
		must.StrHasPrefix(t, "import REF: not a ZFS send stream: it begins with 00 00", r.refused(t))
	})
}
