package zstream

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
)

// setSnapshot sets the snapshot name of a BEGIN.
func (p *testRecord) setSnapshot(name string) {
	clear(p.header[bodyOffset+48 : bodyOffset+304])
	copy(p.header[bodyOffset+48:], name)
}

// withFeature is a change that sets a feature of dataset m.
func withFeature(bit int) func(e testStream) testStream {
	return func(e testStream) testStream {
		p := e.at(1, drrBegin, 0)
		p.setU64(8, p.u64(8)|1<<(bit+2))
		return e
	}
}

func TestExtract_begin(t *testing.T) {
	leak.Check(t)
	begins := func(f func(p *testRecord)) func(e testStream) testStream {
		return func(e testStream) testStream { f(e.at(1, drrBegin, 0)); return e }
	}
	testRefusals(t, []refusal{
		{"deduplicated records", withFeature(0), "BEGIN: stream features that are not supported: DEDUP"},
		{"an encrypted stream", withFeature(24), "BEGIN: stream features that are not supported: RAW"},
		{"a feature of another system", withFeature(3), "not supported: unknown bit 3"},
		{"many features", func(e testStream) testStream { return withFeature(1)(withFeature(21)(withFeature(24)(e))) },
			"stream features that are not supported: DEDUPPROPS, RAW, REDACTED"},
		{"a redacted stream", withFeature(21), "REDACTED"},
		{"a resumed stream", withFeature(20), "RESUMING"},
		{"holds, that a receiver would take", withFeature(26), "BEGIN: stream features that are not supported: HOLDS"},
		{"an unknown feature", withFeature(55), "not supported: unknown bit 55"},
		{"bits that are to come", withFeature(61), "unknown bit 61"},
		{"a bad magic number", begins(func(p *testRecord) { p.setU64(0, 99) }), "BEGIN: bad magic number 0x63"},
		{"no type", begins(func(p *testRecord) { p.setU64(8, p.u64(8)&^3) }), "no such type of header: 0"},
		{"a package within", begins(func(p *testRecord) { p.setU64(8, p.u64(8)&^3|compound) }), "it begins a package within a package"},
		{"a volume", begins(func(p *testRecord) { p.setU32(24, 3) }), "zroot/fx/hello-linux/m is a volume: only file systems are supported"},
		{"another type", begins(func(p *testRecord) { p.setU32(24, 4) }), "is a dataset of type 4"},
		{"an increment", begins(func(p *testRecord) { p.setU64(40, 7) }), "zroot/fx/hello-linux/m@1795390000: what it is incremental from is not there: snapshot 0x7"},
		{"a resume token", begins(func(p *testRecord) { p.header[4] = 8; p.payload = make([]byte, 8) }), "resumed, redacted and raw streams are not supported"},
		{"no snapshot", begins(func(p *testRecord) { p.setSnapshot("zroot/fx/hello-linux/m") }), `no name of a snapshot: "zroot/fx/hello-linux/m"`},
		{"two snapshots", begins(func(p *testRecord) { p.setSnapshot("a@b@c") }), `no name of a snapshot: "a@b@c"`},
		{"an unannounced dataset", begins(func(p *testRecord) { p.setSnapshot("zroot/fx/hello-linux/n@1795390000") }), `"zroot/fx/hello-linux/n@1795390000" is not in the list of the package`},
		{"an unannounced snapshot", begins(func(p *testRecord) { p.setSnapshot("zroot/fx/hello-linux/m@2") }), "is not in the list of the package"},
		{"another GUID", begins(func(p *testRecord) { p.setU64(32, 5) }), "has GUID 0x479f46be843f4bf3 in the list of the package, 0x5 here"},
	})
}

// editList is what the package of small says that it holds, changed by f.
func editList(t *testing.T, e testStream, f func(l nvlist) nvlist) testStream {
	t.Helper()
	l, err := unpackNvlist(e[0].payload)
	must.NoError(t, err)
	e.setList(pack(f(l)))
	return e
}

func (e testStream) setList(payload []byte) {
	for len(payload)%8 != 0 {
		payload = append(payload, 0)
	}
	e[0].payload = payload
	e[0].header[4], e[0].header[5], e[0].header[6] = byte(len(payload)), byte(len(payload)>>8), byte(len(payload)>>16)
}

// renameChild is a stream whose child has another name, in the list too.
func renameChild(t *testing.T, name string) func(e testStream) testStream {
	return func(e testStream) testStream {
		e.at(1, drrBegin, 0).setSnapshot(name + "@1795390000")
		return editList(t, e, func(l nvlist) nvlist {
			fs := l.find("fss").(nvlist)[1].value.(nvlist)
			fs[0].value = name
			return l
		})
	}
}

func TestExtract_package(t *testing.T) {
	leak.Check(t)
	same := editList(t, small(t), func(l nvlist) nvlist { return l })
	must.Len(t, len(small(t)[0].payload), same[0].payload, must.Sprint("a list is packed as it was"))
	lists := func(f func(l nvlist) nvlist) func(e testStream) testStream {
		return func(e testStream) testStream { return editList(t, e, f) }
	}
	testRefusals(t, []refusal{
		{"no list", func(e testStream) testStream { e[0].payload = nil; e.setList(nil); return e }, "BEGIN: list: a package without one"},
		{"a list without datasets", lists(func(nvlist) nvlist { return nil }), "list: it has no datasets"},
		{"a raw package", lists(func(l nvlist) nvlist { return append(l, nvpair{"raw", nil}) }), "raw (encrypted) packages are not supported"},
		{"a dataset twice in the list", lists(func(l nvlist) nvlist {
			all := l.find("fss").(nvlist)
			for i := range l {
				if l[i].name == "fss" {
					l[i].value = append(all, all[0])
				}
			}
			return l
		}), `list: dataset "zroot/fx/hello-linux" comes twice`},
		{"a snapshot that is not the package's", lists(func(l nvlist) nvlist {
			for i := range l {
				if l[i].name == "tosnap" {
					l[i].value = "later"
				}
			}
			fs := l.find("fss").(nvlist)[1].value.(nvlist)
			fs[3].value = append(fs[3].value.(nvlist), nvpair{"later", uint64(1)})
			return l
		}), "the package has 0 datasets of the 1 in its list"},
		{"a dataset that is missing", func(e testStream) testStream {
			return append(e[:e.index(1, drrBegin, 0):e.index(1, drrBegin, 0)], e[len(e)-1])
		}, "the package has 1 datasets of the 2 in its list"},
		{"a dataset twice", func(e testStream) testStream {
			i := e.index(1, drrBegin, 0)
			return append(e[:len(e)-1:len(e)-1], e[i:]...)
		}, `dataset "zroot/fx/hello-linux/m" comes twice`},
		{"a child first", func(e testStream) testStream {
			top, child := e.index(0, drrBegin, 0), e.index(1, drrBegin, 0)
			out := append(e[:top:top], e[child:len(e)-1]...)
			return append(append(out, e[top:child]...), e[len(e)-1])
		}, `dataset "zroot/fx/hello-linux/m" comes before "zroot/fx/hello-linux"`},
		{"a grandchild without its parent", renameChild(t, "zroot/fx/hello-linux/a/b"), `dataset "zroot/fx/hello-linux/a/b" comes before "zroot/fx/hello-linux/a"`},
		{"a dataset elsewhere", renameChild(t, "zroot/other"), `dataset "zroot/other" is not below "zroot/fx/hello-linux"`},
		{"a dataset with a longer name", renameChild(t, "zroot/fx/hello-linux2"), "is not below"},
		{"a dataset above", renameChild(t, "zroot/fx/hello-linux/../x"), `dataset "zroot/fx/hello-linux/../x": ".." is no name`},
		{"a dataset without a name", renameChild(t, "zroot/fx/hello-linux/"), `"" is no name`},
		{"a child where files are", renameChild(t, "zroot/fx/hello-linux/conf"), "its parent has files where it belongs"},
		{"a child where a file is", func(e testStream) testStream {
			binary.LittleEndian.PutUint64(e.at(0, drrObject, 3).attribute("ZPL_LINKS"), 2)
			e.at(0, drrWrite, 34).setValue(0, direntOf(3, unix.S_IFREG))
			return e
		}, "its parent has something else of its name"},
		{"records in the list", func(e testStream) testStream {
			i := e.index(1, drrWrite, passwd)
			return append(append(e[:1:1], e[i]), e[1:]...)
		}, "WRITE: it is within the list of a package"},
	})
	t.Run("a child need not have a place in its parent", func(t *testing.T) {
		dir, s, err := extract(t, renameChild(t, "zroot/fx/hello-linux/other")(small(t)).encode(), Options{})
		must.NoError(t, err)
		must.FileExists(t, dir+"/other/etc/passwd")
		must.Eq(t, "other", s.Datasets[1].Name)
	})
}

func TestUnpackList(t *testing.T) {
	leak.Check(t)
	all := nvlist{
		{"all", nil}, {"truth", true}, {"lie", false}, {"number", uint64(1 << 63)}, {"negative", int64(-3)},
		{"text", "a text"}, {"", ""}, {"bytes", []byte{1, 2, 3, 4, 5}},
		{"list", nvlist{{"in it", nvlist{{"further in", uint64(1)}}}}}, {"empty", nvlist(nil)},
	}
	packed := pack(all)
	got, err := unpackNvlist(packed)
	must.NoError(t, err)
	must.Eq(t, all, got)
	must.Eq(t, "a text", got.find("text").(string))
	must.True(t, got.has("all") && !got.has("nothing"))

	for n := range len(packed) - 1 {
		_, err := unpackNvlist(packed[:n])
		must.Error(t, err, must.Sprintf("%d of %d bytes", n, len(packed)))
	}
	deep := nvlist(nil)
	for range maxNesting + 1 {
		deep = nvlist{{"deeper", deep}}
	}
	many := make(nvlist, maxPairs+1)
	for name, c := range map[string]struct {
		packed []byte
		want   string
	}{
		"native encoding":         {append([]byte{0}, packed[1:]...), "list: not in XDR"},
		"a later version":         {append([]byte{1, 1, 0, 0, 0, 0, 0, 9}, packed[8:]...), "list: version 9 is not known"},
		"lists within each other": {pack(deep), "list: more than 8 within each other"},
		"too many pairs":          {pack(many), "list: more than 65536 pairs"},
		"a name with NUL":         {pack(nvlist{{"a\x00b", nil}}), `list: a text with NUL in it: "a\x00b"`},
		"a text with NUL":         {pack(nvlist{{"a", "b\x00"}}), `list: a text with NUL in it: "b\x00"`},
		"more behind it":          {append(packed[:len(packed):len(packed)], make([]byte, 8)...), "list: 8 bytes follow it"},
	} {
		_, err := unpackNvlist(c.packed)
		must.EqError(t, err, c.want, must.Sprint(name))
	}
}

// pack is unpackNvlist the other way.
func pack(l nvlist) []byte {
	return append([]byte{1, 1, 0, 0}, packPairs(l)...)
}

func packPairs(l nvlist) []byte {
	out := make([]byte, 4, 64)    // version
	out = append(out, 0, 0, 0, 1) // NV_UNIQUE_NAME
	for _, p := range l {
		body := xdrBytes([]byte(p.name))
		number := func(v uint32) { body = append(body, byte(v>>24), byte(v>>16), byte(v>>8), byte(v)) }
		switch v := p.value.(type) {
		case nil:
			number(nvBoolean)
			number(0)
		case bool:
			number(nvBooleanValue)
			number(1)
			number(map[bool]uint32{true: 1}[v])
		case uint64:
			number(nvUint64)
			number(1)
			number(uint32(v >> 32))
			number(uint32(v))
		case int64:
			number(nvInt64)
			number(1)
			number(uint32(v >> 32))
			number(uint32(v))
		case string:
			number(nvString)
			number(1)
			body = append(body, xdrBytes([]byte(v))...)
		case []byte:
			number(nvByteArray)
			number(uint32(len(v)))
			body = append(body, xdrBytes(v)[4:]...)
		case nvlist:
			number(nvList)
			number(1)
			body = append(body, packPairs(v)...)
		}
		size := uint32(len(body) + 8)
		out = append(out, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
		out = append(out, 0, 0, 0, 64) // what the pair takes in memory: nobody looks
		out = append(out, body...)
	}
	return append(out, make([]byte, 8)...)
}

func xdrBytes(p []byte) []byte {
	out := []byte{byte(len(p) >> 24), byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p))}
	out = append(out, p...)
	return append(out, make([]byte, -len(p)&3)...)
}

func TestCheckName(t *testing.T) {
	leak.Check(t)
	for _, name := range []string{"a", "...", " ", "a\nb", "\xff", strings.Repeat("n", 255)} {
		must.NoError(t, checkName(name, maxName))
	}
	for _, name := range []string{"", ".", "..", "a/b", "/", "a\x00", strings.Repeat("n", 256)} {
		must.Error(t, checkName(name, maxName), must.Sprint(name))
	}
}

func TestError(t *testing.T) {
	leak.Check(t)
	cause := errors.New("it is broken")
	var err error = &Error{Record: 17, Offset: 40560, Op: "WRITE", Err: cause}
	must.EqError(t, err, "record 17 at offset 40560: WRITE: it is broken")
	must.ErrorIs(t, err, cause)
}
