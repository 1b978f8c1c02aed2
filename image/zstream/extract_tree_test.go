package zstream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
)

// attribute is where one is in the bonus of a file or a directory of small,
// which all have the layout of new files: a header of 8 bytes, then the
// attributes in the order of zfs_mknode (module/os/freebsd/zfs/zfs_znode_os.c).
func (p *testRecord) attribute(name string) []byte {
	at := map[string]int{
		"ZPL_MODE": 8, "ZPL_SIZE": 16, "ZPL_GEN": 24, "ZPL_UID": 32, "ZPL_GID": 40, "ZPL_PARENT": 48,
		"ZPL_FLAGS": 56, "ZPL_ATIME": 64, "ZPL_MTIME": 80, "ZPL_CTIME": 96, "ZPL_CRTIME": 112, "ZPL_LINKS": 128,
	}[name]
	return p.payload[at : at+16]
}

// setAttribute changes one of an object of dataset m.
func setAttribute(object uint64, name string, v uint64) func(e testStream) testStream {
	return func(e testStream) testStream {
		binary.LittleEndian.PutUint64(e.at(1, drrObjectType, object).attribute(name), v)
		return e
	}
}

// drrObjectType is the kind, where an object's number is called object.
const drrObjectType = drrObject

// direntOf is the value of a directory's entry.
func direntOf(object uint64, mode uint32) uint64 { return uint64(mode>>12)<<60 | object }

func TestExtract_names(t *testing.T) {
	leak.Check(t)
	name := func(name string) func(e testStream) testStream {
		return func(e testStream) testStream { e.at(1, drrWrite, etcDir).setName(0, name); return e }
	}
	value := func(dir uint64, v uint64) func(e testStream) testStream {
		return func(e testStream) testStream { e.at(1, drrWrite, dir).setValue(0, v); return e }
	}
	const in = `END: dataset "zroot/fx/hello-linux/m": directory "/etc": `
	testRefusals(t, []refusal{
		{"up", name(".."), in + `".." is no name`},
		{"the same", name("."), in + `"." is no name`},
		{"a path", name("a/b"), in + `a name with / or NUL in it: "a/b"`},
		{"an absolute path", name("/etc/passwd"), in + `a name with / or NUL in it: "/etc/passwd"`},
		{"a path up", name("../../../x"), in + `a name with / or NUL in it`},
		{"a name without an end", name(strings.Repeat("n", 50)), in + "ZAP: a name without an end"},
		{"two of one name", name("group"), in + `"group": the directory has two of that name`},
		{"what is not there", value(etcDir, direntOf(999, unix.S_IFREG)), `"passwd": object 999: there is none of that number`},
		{"number 0", value(etcDir, direntOf(0, unix.S_IFREG)), "object 0: there is none of that number"},
		{"what is no file", value(etcDir, direntOf(32, unix.S_IFREG)), `"passwd": object 32: it is a master node of attributes, and no file`},
		{"a directory as a file", value(etcDir, direntOf(binDir, unix.S_IFREG)), "object 2: its name has type 8, its mode is 40755"},
		{"a file as a directory", value(varDir, direntOf(passwd, unix.S_IFDIR)), "object 14: its name has type 4, its mode is 100644"},
		{"a directory twice", value(varDir, direntOf(binDir, unix.S_IFDIR)), "object 2: the directory has a name already"},
		{"a directory in itself", value(varDir, direntOf(varDir, unix.S_IFDIR)), "object 11: the directory has a name already"},
		{"the root in a directory", value(varDir, direntOf(34, unix.S_IFDIR)), "object 34: the directory has a name already"},
		{"a file twice", value(etcDir, direntOf(15, unix.S_IFREG)), "object 15: it has more names than its 1 links"},
	})
	t.Run("a loop of two directories is refused", func(t *testing.T) {
		e := small(t)
		e.at(1, drrWrite, runDir).setValue(0, direntOf(varDir, unix.S_IFDIR))
		e.at(1, drrWrite, runDir).setName(0, "up")
		_, _, err := extract(t, e.encode(), Options{})
		must.ErrorContains(t, err, "object 11: the directory has a name already")
	})
}

func TestExtract_names_bound(t *testing.T) {
	leak.Check(t)
	_, _, err := extract(t, smallStream(), Options{MaxObjects: 60})
	must.NoError(t, err)
	e := small(t)
	setAttribute(passwd, "ZPL_LINKS", 1000)(e)
	p := e.at(1, drrWrite, etcDir)
	p.payload = append(p.payload, make([]byte, 1<<16-len(p.payload))...)
	p.setU64(24, 1<<16)
	e.at(1, drrObject, etcDir).setU32(16, 1<<16)
	for i := range 100 {
		p.setName(i, fmt.Sprint("name", i))
		p.setValue(i, direntOf(passwd, unix.S_IFREG))
	}
	_, _, err = extract(t, e.encode(), Options{MaxObjects: 60})
	must.ErrorContains(t, err, "there are more than 60 names")
	dir, _, err := extract(t, e.encode(), Options{})
	must.NoError(t, err)
	var st unix.Stat_t
	must.NoError(t, unix.Lstat(filepath.Join(dir, "m/etc/name99"), &st))
	must.Eq(t, 100, st.Nlink)
}

func TestExtract_attributes(t *testing.T) {
	leak.Check(t)
	raw := func(f func(bonus []byte)) func(e testStream) testStream {
		return func(e testStream) testStream { f(e.at(1, drrObject, passwd).payload); return e }
	}
	testRefusals(t, []refusal{
		{"no kind of file", setAttribute(passwd, "ZPL_MODE", 0o010000|0o160000), `"passwd": object 14: its name has type 8, its mode is 170000`},
		{"a directory's mode", setAttribute(passwd, "ZPL_MODE", 0o040755), "object 14: it is a file, its mode is 40755"},
		{"a file's mode", setAttribute(varDir, "ZPL_MODE", 0o100644), "object 11: it is a directory, its mode is 100644"},
		{"a root that is a file", setAttribute(34, "ZPL_MODE", 0o100644), "the root: object 34: it is a directory, its mode is 100644"},
		{"a negative size", setAttribute(passwd, "ZPL_SIZE", 1<<63), "attribute ZPL_SIZE: -9223372036854775808 bytes"},
		{"an owner of a foreign domain", setAttribute(passwd, "ZPL_UID", 1<<32|5), "attribute ZPL_UID: owner 0x100000005, of a foreign domain, is not supported"},
		{"nobody's group", setAttribute(passwd, "ZPL_GID", 1<<32-1), "attribute ZPL_GID: owner 0xffffffff"},
		{"a link without a target", func(e testStream) testStream {
			setAttribute(passwd, "ZPL_MODE", 0o120777)(e)
			e.at(1, drrWrite, etcDir).setValue(0, direntOf(passwd, unix.S_IFLNK))
			return e
		}, "attributes: a link without ZPL_SYMLINK"},
		{"a device without a number", func(e testStream) testStream {
			setAttribute(passwd, "ZPL_MODE", 0o060666)(e)
			e.at(1, drrWrite, etcDir).setValue(0, direntOf(passwd, unix.S_IFBLK))
			return e
		}, "attributes: a device without ZPL_RDEV"},
		{"a fifo with content", func(e testStream) testStream {
			setAttribute(passwd, "ZPL_MODE", 0o010666)(e)
			e.at(1, drrWrite, etcDir).setValue(0, direntOf(passwd, unix.S_IFIFO))
			return e
		}, "object 14: a file of mode 10666 with content"},
		{"a target with NUL in it", func(e testStream) testStream { e.at(1, drrObject, hiLink).payload[184] = 0; return e }, "object 17: a link to a path with NUL in it"},
		{"no header", raw(func(b []byte) { b[0] = 0 }), "attributes: they have no header"},
		{"no such layout", raw(func(b []byte) { b[4] ^= 0x80 }), "is not known"},
		{"a header beyond the bonus", raw(func(b []byte) { b[5] |= 0xfc }), "attributes: a header of"},
		{"no attributes", func(e testStream) testStream {
			e.at(1, drrObject, passwd).setU32(20, 0)
			e.at(1, drrObject, passwd).payload = nil
			return e
		},
			"attributes: they have no header"},
		{"half of the attributes", func(e testStream) testStream {
			e.at(1, drrObject, passwd).setU32(20, 80)
			e.at(1, drrObject, passwd).payload = e.at(1, drrObject, passwd).payload[:80]
			return e
		}, "attributes: ZPL_MTIME is beyond their end"},
		{"a second of 2^33 nanoseconds", func(e testStream) testStream {
			binary.LittleEndian.PutUint64(e.at(1, drrObject, passwd).attribute("ZPL_MTIME")[8:], 1<<33)
			return e
		}, "attribute ZPL_MTIME: 8589934592 nanoseconds"},
		{"a special time of utimensat", func(e testStream) testStream {
			binary.LittleEndian.PutUint64(e.at(1, drrObject, passwd).attribute("ZPL_MTIME")[8:], 1<<30-1) // UTIME_NOW of Linux
			return e
		}, "nanoseconds"},
	})
}

func TestExtract_masterNode(t *testing.T) {
	leak.Check(t)
	drop := func(k recordType, object uint64) func(e testStream) testStream {
		return func(e testStream) testStream {
			i := e.index(1, k, object)
			return append(e[:i:i], e[i+1:]...)
		}
	}
	// Its entries: normalization, utf8only, casesensitivity, VERSION, SA_ATTRS,
	// DELETE_QUEUE, ROOT, SHARES.
	value := func(i int, v uint64) func(e testStream) testStream {
		return func(e testStream) testStream { e.at(1, drrWrite, 1).setValue(i, v); return e }
	}
	testRefusals(t, []refusal{
		{"an old version", value(3, 4), "system attributes, in a file system of ZPL version 4"},
		{"a new version", value(3, 6), "file systems of ZPL version 6 are not supported"},
		{"nothing in it", drop(drrWrite, 1), "master node: object 1: nothing was written to it"},
		{"attributes elsewhere", value(4, 1), "master node of attributes: object 1: it is a master node, not a master node of attributes"},
		{"no attributes", value(4, 0), "master node of attributes: object 0: there is none"},
		{"a root that is a file", value(6, passwd), "object 14: the root is no directory"},
		{"a root that is not there", value(6, 999), "the root: object 999: there is none"},
		{"a root of another kind", value(6, 1), "the root: object 1: it is a master node, and no file"},
		{"no registry", drop(drrWrite, 35), "registry of attributes: object 35: nothing was written to it"},
		{"no layouts", drop(drrWrite, 36), "layouts of attributes: "},
		{"a directory without content", drop(drrWrite, varDir), `directory "/var": object 11: nothing was written to it`},
		{"a directory of another kind", func(e testStream) testStream { clear(e.at(1, drrWrite, varDir).payload[:8]); return e }, `directory "/var": ZAP: a block of type 0x0 is not known`},
	})
}

func TestExtract_sizes(t *testing.T) {
	leak.Check(t)
	path := "m/etc/passwd"
	for _, size := range []uint64{0, 1, 511, 512, 513, 1 << 20} {
		e := setAttribute(passwd, "ZPL_SIZE", size)(small(t))
		dir, _, err := extract(t, e.encode(), Options{})
		must.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, path))
		must.NoError(t, err)
		want := append(bytes.Clone(e.at(1, drrWrite, passwd).payload), make([]byte, 1<<20)...)
		must.True(t, bytes.Equal(want[:size], got))
	}
}

func TestExtract_without(t *testing.T) {
	leak.Check(t)
	if asRoot {
		t.Skip("for those who are not root")
	}
	var warnings []string
	dir, _, err := extract(t, stream(t, "fxsmall_1.0.xz"), Options{Warn: func(w string) { warnings = append(warnings, w) }})
	must.NoError(t, err)
	must.SliceContains(t, warnings, "left out: device nodes, which only root can make (of 2 files)")
	must.StrContains(t, strings.Join(warnings, "\n"), "left out: owners, which only root can give (of ")
	must.FileNotExists(t, filepath.Join(dir, "m/special/cdev"))
}
