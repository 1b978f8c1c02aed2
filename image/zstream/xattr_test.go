package zstream

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
)

func TestNewXattr(t *testing.T) {
	leak.Check(t)
	for name, want := range map[string]Xattr{
		"colour":                   {Namespace: "user", Name: "colour"},
		"user.colour":              {Namespace: "user", Name: "colour"},
		"freebsd:system:posix":     {Namespace: "system", Name: "posix"},
		"security.capability":      {Namespace: "linux.security", Name: "capability"},
		"trusted.overlay.opaque":   {Namespace: "linux.trusted", Name: "overlay.opaque"},
		"system.posix_acl_access":  {Namespace: "linux.system", Name: "posix_acl_access"},
		"users":                    {Namespace: "user", Name: "users"},
		"freebsd:other:attribute":  {Namespace: "user", Name: "freebsd:other:attribute"},
		"user.trusted.not.trusted": {Namespace: "user", Name: "trusted.not.trusted"},
	} {
		got, err := newXattr(name, 0, nil)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	_, err := newXattr("", 0, nil)
	must.ErrorContains(t, err, "one without a name")
}

func TestXattrs(t *testing.T) {
	leak.Check(t)
	fresh := func() *zpl { return &zpl{budget: budget{10, 1000}} }
	many := make(nvlist, maxXattrs+1)
	for i := range many {
		many[i] = nvpair{fmt.Sprint("name", i), []byte{1}}
	}
	for want, list := range map[string][]byte{
		`extended attributes: "a" has no value`:              pack(nvlist{{"a", "text, not bytes"}}),
		"extended attributes: list: not in XDR":              []byte("something else that is long enough"),
		"extended attributes: there are more than 4096":      pack(many),
		"extended attributes: one without a name":            pack(nvlist{{"", []byte{1}}}),
		"extended attributes: list: more than 8 within each": pack(deepList()),
		`extended attributes: "user.a" comes twice`:          pack(nvlist{{"user.a", []byte("first")}, {"user.b", []byte{}}, {"user.a", []byte("last")}}),
		`extended attributes: list: a text with NUL in it`:   pack(nvlist{{"user.a\x00b", []byte("x")}}),
	} {
		_, err := fresh().xattrs(&znode{xattrs: list})
		must.ErrorContains(t, err, want)
	}
	list, err := fresh().xattrs(&znode{xattrs: pack(nvlist{{"user.a", []byte("linux")}, {"b", []byte{}}})})
	must.NoError(t, err)
	must.Eq(t, []Xattr{{"user", "a", 5, []byte("linux")}, {"user", "b", 0, []byte{}}}, list)
}

func deepList() nvlist {
	l := nvlist{{"a", []byte{1}}}
	for range maxNesting + 1 {
		l = nvlist{{"a", l}}
	}
	return l
}

// streamWithXattrDir is a stream with xattr=dir, and its dataset m's object of the file
// whose attributes those are, the directory of them and the first of them.
func streamWithXattrDir(t testing.TB) (e testStream, file, dir, value uint64) {
	data := stream(t, "fxxadir_1.0.xz")
	e = parseTestStream(t, data)
	readFiles(t, data, nil, func(f *zpl) {
		must.NoError(t, f.stage.objects.each(func(o *dnode) error {
			if !o.typ.isFile() {
				return nil
			}
			_, n, err := f.znode(o.number)
			if err != nil || n.xattrDir == 0 || file != 0 {
				return err
			}
			z, err := f.stage.zap(n.xattrDir, typeDirectory)
			if err != nil {
				return err
			}
			file, dir = o.number, n.xattrDir
			return z.each(func(e zapAttribute) error { value = e.value[0] & (1<<48 - 1); return nil })
		}))
	})
	must.Positive(t, value)
	return e, file, dir, value
}

// TestXattrs_directory is directories of extended attributes that are none.
func TestXattrs_directory(t *testing.T) {
	leak.Check(t)
	_, _, dir, value := streamWithXattrDir(t)
	for _, c := range []struct {
		name   string
		change func(e testStream)
		want   string
	}{
		{"a value that is not there", func(e testStream) { e.at(1, drrWrite, dir).setValue(0, direntOf(1<<40, unix.S_IFREG)) }, "there is none of that number"},
		{"a directory for a value", func(e testStream) { e.at(1, drrWrite, dir).setValue(0, direntOf(dir, unix.S_IFDIR)) }, "it is no extended attribute"},
		{"a file for a value", func(e testStream) {
			p := e.at(1, drrObject, value)
			at := int(binary.LittleEndian.Uint16(p.payload[4:])>>10) * 8
			p.payload[at+48] &^= flagXattr
		}, "it is no extended attribute"},
		{"no directory", func(e testStream) { e.at(1, drrWrite, dir).setU64(0, dir); clear(e.at(1, drrWrite, dir).payload[:8]) }, "ZAP: a block of type 0x0 is not known"},
		{"an attribute in the tree", func(e testStream) {
			root := e.at(1, drrWrite, 34)
			for i := range len(root.payload)/64 - 1 {
				if v := binary.LittleEndian.Uint64(root.entry(i)); v>>60 == 8 {
					root.setValue(i, direntOf(value, unix.S_IFREG))
				}
			}
			if strings.Trim(string(root.entry(0)), "\x00") != "" {
				root.setValue(0, direntOf(value, unix.S_IFREG))
			}
		}, "it is an extended attribute, and has a name in the tree"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, _, _, _ := streamWithXattrDir(t)
			c.change(e)
			_, _, err := extract(t, e.encode(), Options{})
			must.ErrorContains(t, err, c.want)
			_, _, err = index(t, e.encode())
			must.ErrorContains(t, err, c.want)
		})
	}
	t.Run("many files may not have one large directory", func(t *testing.T) {
		b := budget{3, 100}
		must.NoError(t, b.spend(2, 100))
		must.ErrorContains(t, b.spend(0, 1), "there are more extended attributes than files may have in all")
	})
}

func TestACL(t *testing.T) {
	leak.Check(t)
	for n := 1; n < 16; n++ {
		_, err := parseACEs(byteOrder{}, make([]byte, n))
		must.EqError(t, err, "access control list: an entry is cut")
	}
	object := make([]byte, 48)
	object[0] = 5
	list, err := parseACEs(byteOrder{}, append(object, make([]byte, 16)...))
	must.NoError(t, err)
	must.Eq(t, []ACE{{Type: 5}, {}}, list)
	foreign := make([]byte, 16)
	foreign[13] = 1
	_, err = parseACEs(byteOrder{}, foreign)
	must.ErrorContains(t, err, "access control list: owner 0x10000000000, of a foreign domain")

	old := func(version uint16, size uint32) aclPhys {
		p := make([]byte, 88)
		binary.LittleEndian.PutUint32(p[8:], size)
		binary.LittleEndian.PutUint16(p[12:], version)
		binary.LittleEndian.PutUint32(p[16:], 1001)
		binary.LittleEndian.PutUint32(p[20:], 7)
		return parseACLPhys(byteOrder{}, p)
	}
	list, err = old(0, 1).entries(byteOrder{}, nil)
	must.NoError(t, err)
	must.Eq(t, []ACE{{Who: 1001, Mask: 7}}, list)
	_, err = old(0, 7).entries(byteOrder{}, nil)
	must.EqError(t, err, "access control list: 84 bytes where there are 72")
	_, err = old(0, 1<<31).entries(byteOrder{}, nil)
	must.ErrorContains(t, err, "is not known")
	_, err = old(2, 8).entries(byteOrder{}, nil)
	must.ErrorContains(t, err, "access control list: version 2 of 8 bytes is not known")
}

func TestFlags(t *testing.T) {
	leak.Check(t)
	must.Eq(t, "-", Flags(aclTrivial).String())
	must.Eq(t, "schg,uarch", Flags(1<<36|1<<35|aclTrivial).String())
	must.Eq(t, 0x20800, Flags(1<<36|1<<35).Stat())
}
