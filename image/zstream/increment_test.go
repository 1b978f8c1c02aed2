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
func bare(t testing.TB) edited {
	e := small(t)
	return e[e.index(1, begin, 0) : len(e)-1]
}

// newPiece is a record of that kind; its object, or what stands there, is first.
func newPiece(k kind, first uint64, payload []byte) *piece {
	p := &piece{payload: payload}
	binary.LittleEndian.PutUint32(p.header[:], uint32(k))
	p.setU64(0, first)
	return p
}

const laterGUID = 0x1a7e6

// later is an increment on bare: BEGIN, what is between, END.
func later(t testing.TB, between ...*piece) edited {
	base := bare(t)
	first, last := *base[0], *base[len(base)-1]
	first.setU64(40, first.u64(32)) // drr_fromguid
	first.setU64(32, laterGUID)
	first.setSnapshot("zroot/fx/hello-linux/m@later")
	last.setU64(32, laterGUID)
	return append(append(edited{&first}, between...), &last)
}

// written is a WRITE of that block.
func written(object, offset uint64, typ objectType, data []byte) *piece {
	p := newPiece(write, object, data)
	p.setU32(8, uint32(typ))
	p.setU64(16, offset)
	p.setU64(24, uint64(len(data)))
	return p
}

// freed is a FREE, or a FREEOBJECTS.
func freed(k kind, first, at, length uint64) *piece {
	p := newPiece(k, first, nil)
	if k == freeObjects {
		p.setU64(8, length)
		return p
	}
	p.setU64(8, at)
	p.setU64(16, length)
	return p
}

// again is an OBJECT of bare once more, with another size of the file.
func again(t testing.TB, number, size uint64) *piece {
	e := bare(t)
	p := *e[e.index(0, object, number)]
	p.payload = bytes.Clone(p.payload)
	binary.LittleEndian.PutUint64(p.attribute("ZPL_SIZE"), size)
	return &p
}

func block512(s string) []byte { return append([]byte(s), make([]byte, 512-len(s))...) }

func onBare(t *testing.T, pieces ...*piece) (string, error) {
	dir, _, err := extract(t, later(t, pieces...).seal(), Options{Origins: readers([][]byte{bare(t).seal()})})
	return dir, err
}

func content(t *testing.T, dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	must.NoError(t, err)
	return string(data)
}

func TestIncrement(t *testing.T) {
	leak.Check(t)
	base, _, err := extract(t, bare(t).seal(), Options{})
	must.NoError(t, err)
	t.Run("nothing changed", func(t *testing.T) {
		dir, err := onBare(t)
		must.NoError(t, err)
		must.Eq(t, content(t, base, "etc/passwd"), content(t, dir, "etc/passwd"))
	})
	t.Run("a block changed", func(t *testing.T) {
		dir, err := onBare(t, again(t, passwd, 5), written(passwd, 0, typePlainFile, block512("other")))
		must.NoError(t, err)
		must.Eq(t, "other", content(t, dir, "etc/passwd"))
	})
	t.Run("a file that grew keeps its beginning", func(t *testing.T) {
		dir, err := onBare(t, again(t, passwd, 1029), written(passwd, 1024, typePlainFile, block512("later")))
		must.NoError(t, err)
		was := content(t, base, "etc/passwd")
		must.Eq(t, was+string(make([]byte, 1024-len(was)))+"later", content(t, dir, "etc/passwd"))
	})
	t.Run("a file that was cut", func(t *testing.T) {
		dir, err := onBare(t, again(t, passwd, 600), freed(free, passwd, 0, 1<<64-1))
		must.NoError(t, err)
		must.Eq(t, string(make([]byte, 600)), content(t, dir, "etc/passwd"))
	})
	t.Run("a hole in what stays", func(t *testing.T) {
		data := bytes.Repeat([]byte("x"), 64<<10)
		first := later(t, again(t, passwd, 64<<10), written(passwd, 0, typePlainFile, data))
		next := later(t, again(t, passwd, 64<<10), freed(free, passwd, 4096, 8192))
		next[0].setU64(40, laterGUID)
		next[0].setU64(32, 9)
		next[len(next)-1].setU64(32, 9)
		dir, _, err := extract(t, next.seal(), Options{Origins: readers([][]byte{bare(t).seal(), first.seal()})})
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
		dirBlock := *e[e.index(0, write, varDir)]
		dirBlock.payload = bytes.Clone(dirBlock.payload)
		dirBlock.setName(0, "")
		dir, err := onBare(t, freed(freeObjects, runDir, 0, 1), &dirBlock)
		must.NoError(t, err)
		must.FileNotExists(t, filepath.Join(dir, "var/run"))
		must.DirExists(t, filepath.Join(dir, "var"))
	})
	t.Run("a number that another file has now", func(t *testing.T) {
		p := again(t, passwd, 1024)
		p.setU32(16, 4096)
		dir, err := onBare(t, p)
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
	base[base.index(0, object, passwd)].setU32(16, 512)
	at := base.index(0, write, passwd)
	base = append(base[:at+1:at+1], append(edited{written(passwd, 512, typePlainFile, block512("second"))}, base[at+1:]...)...)
	binary.LittleEndian.PutUint64(base[base.index(0, object, passwd)].attribute("ZPL_SIZE"), 518)
	grown := func(change func(p *piece)) (string, error) {
		p := again(t, passwd, 518)
		p.setU32(16, 4096)
		change(p)
		dir, _, err := extract(t, later(t, p).seal(), Options{Origins: readers([][]byte{base.seal()})})
		return dir, err
	}
	dir, err := grown(func(*piece) {})
	must.NoError(t, err)
	must.StrHasSuffix(t, "second", content(t, dir, "etc/passwd"))
	dir, err = grown(func(p *piece) { p.attribute("ZPL_GEN")[0] ^= 1 })
	must.NoError(t, err)
	must.Eq(t, string(make([]byte, 518)), content(t, dir, "etc/passwd"))
	_, err = grown(func(p *piece) { p.setU32(20, 0); p.payload = nil })
	must.ErrorContains(t, err, "object 14: attributes: they have no header")
}

func TestIncrement_refused(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct {
		name   string
		pieces edited
		want   string
	}{
		{"a file that is gone has a name yet", edited{freed(freeObjects, passwd, 0, 1)}, `"passwd": object 14: there is none of that number`},
		{"all objects gone", edited{freed(freeObjects, 0, 0, 1<<40)}, "master node: object 1: there is none of that number"},
		{"content of what is gone", edited{freed(freeObjects, passwd, 0, 1), written(passwd, 0, typePlainFile, block512(""))}, "object 14: there is none of that number"},
		{"a hole in what is gone", edited{freed(freeObjects, passwd, 0, 1), freed(free, passwd, 0, 512)}, "object 14: there is none of that number"},
		{"objects beyond all numbers", edited{freed(freeObjects, 5, 0, 1<<64-1)}, "object 5: 18446744073709551615 objects from there cannot be"},
		{"a hole in what was written", edited{written(passwd, 0, typePlainFile, block512("")), freed(free, passwd, 0, 512)}, "object 14: offset 0 is freed after it was written"},
		{"holes out of order", edited{freed(free, passwd, 512, 512), freed(free, passwd, 0, 512)}, "object 14: offset 0 is freed after it was written"},
		{"a hole in an object before", edited{written(passwd, 0, typePlainFile, block512("")), freed(free, binDir, 0, 512)}, "object 2: offset 0 is freed after object 14 was written"},
		{"a directory's content for a file's", edited{written(passwd, 0, typeDirectory, block512(""))}, "it is a file, and content of type 20 is written to it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := onBare(t, c.pieces...)
			must.ErrorContains(t, err, c.want)
			must.StrHasPrefix(t, "record ", err.Error())
		})
	}
	t.Run("a dnode over others takes their places", func(t *testing.T) {
		p := again(t, binDir, 3)
		p.header[bodyOffset+26] = 2 // drr_dn_slots
		e := later(t, p)
		e[0].setU64(8, e[0].u64(8)|featureLargeDnode<<2)
		_, _, err := extract(t, e.seal(), Options{Origins: readers([][]byte{bare(t).seal()})})
		must.ErrorContains(t, err, `"etc": object 3: there is none of that number`)
	})
	t.Run("no origin", func(t *testing.T) {
		_, _, err := extract(t, later(t).seal(), Options{})
		must.ErrorIs(t, err, ErrNoOrigin)
		_, _, err = index(t, later(t).seal())
		must.ErrorIs(t, err, ErrNoOrigin)
	})
	t.Run("another origin", func(t *testing.T) {
		_, _, err := extract(t, later(t).seal(), Options{Origins: readers([][]byte{stream(t, "fxsmall_1.0.xz")})})
		must.ErrorIs(t, err, ErrNoOrigin)
	})
	t.Run("an origin that is damaged", func(t *testing.T) {
		bad := bare(t).seal()
		bad[len(bad)/2] ^= 1
		_, _, err := extract(t, later(t).seal(), Options{Origins: readers([][]byte{bad})})
		must.ErrorContains(t, err, "origin 1: record ")
		must.ErrorContains(t, err, "checksum")
	})
	t.Run("itself", func(t *testing.T) {
		e := later(t)
		e[0].setU64(32, e[0].u64(40))
		_, _, err := extract(t, e.seal(), Options{})
		must.ErrorContains(t, err, "zroot/fx/hello-linux/m@later is incremental from itself")
	})
	t.Run("too many objects in all", func(t *testing.T) {
		_, _, err := extract(t, later(t).seal(), Options{MaxObjects: 10, Origins: readers([][]byte{bare(t).seal()})})
		must.ErrorContains(t, err, "there are more than 10 objects")
	})
}

// several is small as a package whose dataset m has two snapshots, of which the
// second is incremental from the first, and that has a clone, made of the first.
func several(t *testing.T, clone bool) edited {
	e := small(t)
	next := later(t, again(t, passwd, 5), written(passwd, 0, typePlainFile, block512("other")))
	guid := next[0].u64(40)
	next[0].setSnapshot("zroot/fx/hello-linux/m@1795390000x")
	cloned := later(t, again(t, passwd, 6), written(passwd, 0, typePlainFile, block512("cloned")))
	cloned[0].setSnapshot("zroot/fx/hello-linux/n@1795390000x")
	cloned[0].setU64(32, 77)
	cloned[len(cloned)-1].setU64(32, 77)
	out := append(e[:len(e)-1:len(e)-1], next...)
	if clone {
		out = append(out, cloned...)
	}
	out = append(out, e[len(e)-1])
	return list(t, out, func(l nvlist) nvlist {
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
	dir, s, err := extract(t, several(t, false).seal(), Options{})
	must.NoError(t, err)
	must.Eq(t, "other", content(t, dir, "m/etc/passwd"))
	must.Len(t, 2, s.Datasets)
	must.Eq(t, "1795390000x", s.Datasets[1].Snapshot)
	must.Len(t, 2, s.Datasets[1].Snapshots)
	must.Eq(t, 0, s.Datasets[1].FromGUID)

	t.Run("a clone is of the snapshot that it was made of", func(t *testing.T) {
		data := several(t, true).seal()
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
		e := several(t, false)
		e[e.index(2, begin, 0)].setU64(40, 12345)
		_, _, err := extract(t, e.seal(), Options{})
		must.ErrorContains(t, err, "is incremental from snapshot 0x3039, not from the one before it")
	})
}
