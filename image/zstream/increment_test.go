package zstream

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
)

// bare is dataset m of small alone, as `zfs send` without -R makes it.
func bare(t testing.TB) testStream {
	e := small(t)
	return e[e.index(1, drrBegin, 0) : len(e)-1]
}

// newPiece is a record of that kind; its object, or what stands there, is first.
func newPiece(k recordType, first uint64, payload []byte) *testRecord {
	p := &testRecord{payload: payload}
	binary.LittleEndian.PutUint32(p.header[:], uint32(k))
	p.setU64(0, first)
	return p
}

const laterGUID = 0x1a7e6

// incrementOf is an increment on bare: BEGIN, what is between, END.
func incrementOf(t testing.TB, between ...*testRecord) testStream {
	base := bare(t)
	first, last := *base[0], *base[len(base)-1]
	first.setU64(40, first.u64(32)) // drr_fromguid
	first.setU64(32, laterGUID)
	first.setSnapshot("zroot/fx/hello-linux/m@later")
	last.setU64(32, laterGUID)
	return append(append(testStream{&first}, between...), &last)
}

// writeOf is a WRITE of that block.
func writeOf(object, offset uint64, typ objectType, data []byte) *testRecord {
	p := newPiece(drrWrite, object, data)
	p.setU32(8, uint32(typ))
	p.setU64(16, offset)
	p.setU64(24, uint64(len(data)))
	return p
}

// freeOf is a FREE, or a FREEOBJECTS.
func freeOf(k recordType, first, at, length uint64) *testRecord {
	p := newPiece(k, first, nil)
	if k == drrFreeObjects {
		p.setU64(8, length)
		return p
	}
	p.setU64(8, at)
	p.setU64(16, length)
	return p
}

// objectAgain is an OBJECT of bare once more, with another size of the file.
func objectAgain(t testing.TB, number, size uint64) *testRecord {
	e := bare(t)
	p := *e[e.index(0, drrObject, number)]
	p.payload = bytes.Clone(p.payload)
	binary.LittleEndian.PutUint64(p.attribute("ZPL_SIZE"), size)
	return &p
}

func block512(s string) []byte { return append([]byte(s), make([]byte, 512-len(s))...) }

func extractIncrement(t *testing.T, pieces ...*testRecord) (string, error) {
	dir, _, err := extract(t, incrementOf(t, pieces...).encode(), Options{Origins: readers([][]byte{bare(t).encode()})})
	return dir, err
}

func content(t *testing.T, dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	must.NoError(t, err)
	return string(data)
}

func TestIncrement(t *testing.T) {
	leak.Check(t)
	base, _, err := extract(t, bare(t).encode(), Options{})
	must.NoError(t, err)
	t.Run("nothing changed", func(t *testing.T) {
		dir, err := extractIncrement(t)
		must.NoError(t, err)
		must.Eq(t, content(t, base, "etc/passwd"), content(t, dir, "etc/passwd"))
	})
	t.Run("a block changed", func(t *testing.T) {
		dir, err := extractIncrement(t, objectAgain(t, passwd, 5), writeOf(passwd, 0, typePlainFile, block512("other")))
		must.NoError(t, err)
		must.Eq(t, "other", content(t, dir, "etc/passwd"))
	})
	t.Run("a file that grew keeps its beginning", func(t *testing.T) {
		dir, err := extractIncrement(t, objectAgain(t, passwd, 1029), writeOf(passwd, 1024, typePlainFile, block512("later")))
		must.NoError(t, err)
		was := content(t, base, "etc/passwd")
		must.Eq(t, was+string(make([]byte, 1024-len(was)))+"later", content(t, dir, "etc/passwd"))
	})
	t.Run("a file that was cut", func(t *testing.T) {
		dir, err := extractIncrement(t, objectAgain(t, passwd, 600), freeOf(drrFree, passwd, 0, 1<<64-1))
		must.NoError(t, err)
		must.Eq(t, string(make([]byte, 600)), content(t, dir, "etc/passwd"))
	})
	t.Run("a hole in what stays", func(t *testing.T) {
		data := bytes.Repeat([]byte("x"), 64<<10)
		first := incrementOf(t, objectAgain(t, passwd, 64<<10), writeOf(passwd, 0, typePlainFile, data))
		next := incrementOf(t, objectAgain(t, passwd, 64<<10), freeOf(drrFree, passwd, 4096, 8192))
		next[0].setU64(40, laterGUID)
		next[0].setU64(32, 9)
		next[len(next)-1].setU64(32, 9)
		dir, _, err := extract(t, next.encode(), Options{Origins: readers([][]byte{bare(t).encode(), first.encode()})})
		must.NoError(t, err)
		clear(data[4096:][:8192])
		must.Eq(t, string(data), content(t, dir, "etc/passwd"))
		if runtime.GOOS != "linux" {
			return // zeros are written there: see punch
		}
		var st unix.Stat_t
		must.NoError(t, unix.Stat(filepath.Join(dir, "etc/passwd"), &st))
		must.LessEq(t, 56<<10, st.Blocks*512)
	})
	t.Run("a directory that lost a name", func(t *testing.T) {
		e := bare(t)
		dirBlock := *e[e.index(0, drrWrite, varDir)]
		dirBlock.payload = bytes.Clone(dirBlock.payload)
		dirBlock.setName(0, "")
		dir, err := extractIncrement(t, freeOf(drrFreeObjects, runDir, 0, 1), &dirBlock)
		must.NoError(t, err)
		must.FileNotExists(t, filepath.Join(dir, "var/run"))
		must.DirExists(t, filepath.Join(dir, "var"))
	})
	t.Run("a number that another file has now", func(t *testing.T) {
		p := objectAgain(t, passwd, 1024)
		p.setU32(16, 4096)
		dir, err := extractIncrement(t, p)
		must.NoError(t, err)
		must.Eq(t, string(make([]byte, 1024)), content(t, dir, "etc/passwd"))
	})
}

// TestIncrement_generation is what was sent without large blocks before: a file
// of many blocks whose own are larger now is the same, or it is another, which the
// generation tells.
func TestIncrement_generation(t *testing.T) {
	leak.Check(t)
	base := bare(t)
	base[base.index(0, drrObject, passwd)].setU32(16, 512)
	at := base.index(0, drrWrite, passwd)
	base = append(base[:at+1:at+1], append(testStream{writeOf(passwd, 512, typePlainFile, block512("second"))}, base[at+1:]...)...)
	binary.LittleEndian.PutUint64(base[base.index(0, drrObject, passwd)].attribute("ZPL_SIZE"), 518)
	grown := func(change func(p *testRecord)) (string, error) {
		p := objectAgain(t, passwd, 518)
		p.setU32(16, 4096)
		change(p)
		dir, _, err := extract(t, incrementOf(t, p).encode(), Options{Origins: readers([][]byte{base.encode()})})
		return dir, err
	}
	dir, err := grown(func(*testRecord) {})
	must.NoError(t, err)
	must.StrHasSuffix(t, "second", content(t, dir, "etc/passwd"))
	dir, err = grown(func(p *testRecord) { p.attribute("ZPL_GEN")[0] ^= 1 })
	must.NoError(t, err)
	must.Eq(t, string(make([]byte, 518)), content(t, dir, "etc/passwd"))
	_, err = grown(func(p *testRecord) { p.setU32(20, 0); p.payload = nil })
	must.ErrorContains(t, err, "object 14: attributes: they have no header")
}

func TestIncrement_refused(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct {
		name   string
		pieces testStream
		want   string
	}{
		{"a file that is gone has a name yet", testStream{freeOf(drrFreeObjects, passwd, 0, 1)}, `"passwd": object 14: there is none of that number`},
		{"all objects gone", testStream{freeOf(drrFreeObjects, 0, 0, 1<<40)}, "master node: object 1: there is none of that number"},
		{"content of what is gone", testStream{freeOf(drrFreeObjects, passwd, 0, 1), writeOf(passwd, 0, typePlainFile, block512(""))}, "object 14: there is none of that number"},
		{"a hole in what is gone", testStream{freeOf(drrFreeObjects, passwd, 0, 1), freeOf(drrFree, passwd, 0, 512)}, "object 14: there is none of that number"},
		{"objects beyond all numbers", testStream{freeOf(drrFreeObjects, 5, 0, 1<<64-1)}, "object 5: 18446744073709551615 objects from there cannot be"},
		{"a hole in what was written", testStream{writeOf(passwd, 0, typePlainFile, block512("")), freeOf(drrFree, passwd, 0, 512)}, "object 14: offset 0 is freed after it was written"},
		{"holes out of order", testStream{freeOf(drrFree, passwd, 512, 512), freeOf(drrFree, passwd, 0, 512)}, "object 14: offset 0 is freed after it was written"},
		{"a hole in an object before", testStream{writeOf(passwd, 0, typePlainFile, block512("")), freeOf(drrFree, binDir, 0, 512)}, "object 2: offset 0 is freed after object 14 was written"},
		{"a directory's content for a file's", testStream{writeOf(passwd, 0, typeDirectory, block512(""))}, "it is a file, and content of type 20 is written to it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := extractIncrement(t, c.pieces...)
			must.ErrorContains(t, err, c.want)
			must.StrHasPrefix(t, "record ", err.Error())
		})
	}
	t.Run("a dnode over others takes their places", func(t *testing.T) {
		p := objectAgain(t, binDir, 3)
		p.header[bodyOffset+26] = 2 // drr_dn_slots
		e := incrementOf(t, p)
		e[0].setU64(8, e[0].u64(8)|featureLargeDnode<<2)
		_, _, err := extract(t, e.encode(), Options{Origins: readers([][]byte{bare(t).encode()})})
		must.ErrorContains(t, err, `"etc": object 3: there is none of that number`)
	})
	t.Run("no origin", func(t *testing.T) {
		_, _, err := extract(t, incrementOf(t).encode(), Options{})
		must.ErrorIs(t, err, ErrNoOrigin)
		_, _, err = index(t, incrementOf(t).encode())
		must.ErrorIs(t, err, ErrNoOrigin)
	})
	t.Run("another origin", func(t *testing.T) {
		_, _, err := extract(t, incrementOf(t).encode(), Options{Origins: readers([][]byte{stream(t, "fxsmall_1.0.xz")})})
		must.ErrorIs(t, err, ErrNoOrigin)
	})
	t.Run("an origin that is damaged", func(t *testing.T) {
		bad := bare(t).encode()
		bad[len(bad)/2] ^= 1
		_, _, err := extract(t, incrementOf(t).encode(), Options{Origins: readers([][]byte{bad})})
		must.ErrorContains(t, err, "origin 1: record ")
		must.ErrorContains(t, err, "checksum")
	})
	t.Run("itself", func(t *testing.T) {
		e := incrementOf(t)
		e[0].setU64(32, e[0].u64(40))
		_, _, err := extract(t, e.encode(), Options{})
		must.ErrorContains(t, err, "zroot/fx/hello-linux/m@later is incremental from itself")
	})
	t.Run("too many objects in all", func(t *testing.T) {
		_, _, err := extract(t, incrementOf(t).encode(), Options{MaxObjects: 10, Origins: readers([][]byte{bare(t).encode()})})
		must.ErrorContains(t, err, "there are more than 10 objects")
	})
}

// packageOfTwo is small as a package whose dataset m has two snapshots, of which the
// second is incremental from the first, and that has a clone, made of the first.
func packageOfTwo(t *testing.T, clone bool) testStream {
	e := small(t)
	next := incrementOf(t, objectAgain(t, passwd, 5), writeOf(passwd, 0, typePlainFile, block512("other")))
	guid := next[0].u64(40)
	next[0].setSnapshot("zroot/fx/hello-linux/m@1795390000x")
	cloned := incrementOf(t, objectAgain(t, passwd, 6), writeOf(passwd, 0, typePlainFile, block512("cloned")))
	cloned[0].setSnapshot("zroot/fx/hello-linux/n@1795390000x")
	cloned[0].setU64(32, 77)
	cloned[len(cloned)-1].setU64(32, 77)
	out := append(e[:len(e)-1:len(e)-1], next...)
	if clone {
		out = append(out, cloned...)
	}
	out = append(out, e[len(e)-1])
	return editList(t, out, func(l nvlist) nvlist {
		all := l.find("fss").(nvlist)
		fs := all[1].value.(nvlist)
		fs[3].value = append(fs[3].value.(nvlist), nvpair{"1795390000x", uint64(laterGUID)})
		if clone {
			all = append(all, nvpair{"0x77", nvlist{
				{"name", "zroot/fx/hello-linux/n"}, {"origin", guid}, {"snaps", nvlist{{"1795390000x", uint64(77)}}},
				{"props", nvlist{{"compression", uint64(15)}, {"user:prop", "text"}}},
			}})
		}
		for i := range l {
			switch l[i].name {
			case "fss":
				l[i].value = all
			case "tosnap":
				l[i].value = "1795390000x"
			}
		}
		return l
	})
}

func TestExtract_snapshots(t *testing.T) {
	leak.Check(t)
	// The top dataset has no snapshot of that name: it need not come up to it.
	dir, s, err := extract(t, packageOfTwo(t, false).encode(), Options{})
	must.NoError(t, err)
	must.Eq(t, "other", content(t, dir, "m/etc/passwd"))
	must.Len(t, 2, s.Datasets)
	must.Eq(t, "1795390000x", s.Datasets[1].Snapshot)
	must.Len(t, 2, s.Datasets[1].Snapshots)
	must.Eq(t, 0, s.Datasets[1].FromGUID)

	t.Run("a clone is of the snapshot that it was made of", func(t *testing.T) {
		data := packageOfTwo(t, true).encode()
		dir, s, err := extract(t, data, Options{})
		must.NoError(t, err)
		must.Eq(t, "other", content(t, dir, "m/etc/passwd"))
		must.Eq(t, "cloned", content(t, dir, "n/etc/passwd"))
		must.Eq(t, content(t, dir, "m/bin/hello"), content(t, dir, "n/bin/hello"))
		var m, n unix.Stat_t
		must.NoError(t, unix.Stat(filepath.Join(dir, "m/bin/hello"), &m))
		must.NoError(t, unix.Stat(filepath.Join(dir, "n/bin/hello"), &n))
		must.NotEq(t, m.Ino, n.Ino, must.Sprint("what one dataset changes is not changed in the other"))
		must.Eq(t, map[string]any{"compression": uint64(15), "user:prop": "text"}, s.Datasets[2].Properties)
		must.Eq(t, s.Datasets[1].Snapshots[0].GUID, s.Datasets[2].Origin)
		must.Eq(t, s.Datasets[2].Origin, s.Datasets[2].FromGUID)

		head, err := Head(t.Context(), bytes.NewReader(data))
		must.NoError(t, err)
		must.Eq(t, []string{"", "m", "n"}, []string{head.Datasets[0].Name, head.Datasets[1].Name, head.Datasets[2].Name})
		must.Eq(t, s.Datasets[2].Properties, head.Datasets[2].Properties)
	})
	t.Run("snapshots follow each other", func(t *testing.T) {
		e := packageOfTwo(t, false)
		e[e.index(2, drrBegin, 0)].setU64(40, 12345)
		_, _, err := extract(t, e.encode(), Options{})
		must.ErrorContains(t, err, "is incremental from snapshot 0x3039, not from the one before it")
	})
}
