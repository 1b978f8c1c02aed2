package zstream

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// streamOfZPL is small as a file system of that ZPL version before 5 would have sent it:
// with znodes. A long target stands in an object's content.
func streamOfZPL(t testing.TB, version uint64) testStream {
	e := small(t)
	var all []*zpl
	readFiles(t, smallStream(), nil, func(f *zpl) { all = append(all, f) })
	dataset := -1
	var out testStream
	for _, p := range e {
		if p.recordType() == drrBegin && p.u64(8)&3 == substream {
			dataset++
		}
		out = append(out, p)
		switch {
		case p.recordType() == drrWrite && p.u64(0) == masterNode:
			for i := range len(p.payload)/64 - 1 {
				if strings.HasPrefix(string(p.entry(i)[14:]), "VERSION\x00") {
					p.setValue(i, version)
				}
			}
		case p.recordType() == drrWrite && version < zplDirentType && objectType(p.header[bodyOffset+8]) == typeDirectory:
			for i := range len(p.payload)/64 - 1 {
				p.setValue(i, binary.LittleEndian.Uint64(p.entry(i))&(1<<48-1))
			}
		case p.recordType() == drrObject && p.header[bodyOffset+12] == byte(typeSA):
			_, n, err := all[dataset].znode(p.u64(0))
			must.NoError(t, err)
			if p.payload = znodePhysOf(n); len(p.payload) > 320 {
				p.payload = p.payload[:znodeSize]
				out = append(out, writeOf(p.u64(0), 0, typePlainFile, block512(n.symlink)))
			}
			p.setU32(12, uint32(typeZnode))
			p.setU32(20, uint32(len(p.payload)))
			for len(p.payload)%8 != 0 {
				p.payload = append(p.payload, 0)
			}
		}
	}
	return out
}

// znodePhysOf is a node as a znode_phys_t, with an owner's entry in its list.
func znodePhysOf(n *znode) []byte {
	le := binary.LittleEndian
	b := make([]byte, znodeSize)
	for at, v := range map[int]uint64{
		0: uint64(n.atime.Sec), 8: uint64(n.atime.Nsec), 16: uint64(n.mtime.Sec), 24: uint64(n.mtime.Nsec),
		32: uint64(n.ctime.Sec), 40: uint64(n.ctime.Nsec), 48: uint64(n.crtime.Sec), 56: uint64(n.crtime.Nsec), 64: n.generation,
		72: uint64(n.mode), 80: uint64(n.size), 96: n.links, 112: n.rdev, 120: n.flags &^ aclTrivial, 128: uint64(n.uid), 136: uint64(n.gid),
	} {
		le.PutUint64(b[at:], v)
	}
	le.PutUint32(b[184:], 8) // z_acl_size
	le.PutUint16(b[188:], 1) // z_acl_version
	le.PutUint16(b[190:], 1) // z_acl_count
	le.PutUint16(b[194:], aceOwner)
	le.PutUint32(b[196:], 0x20)
	return append(b, n.symlink...)
}

// TestOldVersions reads file systems from before system attributes.
func TestOldVersions(t *testing.T) {
	leak.Check(t)
	want, _, err := index(t, smallStream())
	must.NoError(t, err)
	for version := uint64(1); version < zplSA; version++ {
		for _, data := range [][]byte{streamOfZPL(t, version).encode(), bigEndian(t, streamOfZPL(t, version).encode())} {
			got, _, err := index(t, data)
			must.NoError(t, err)
			for i := range got {
				must.Eq(t, []ACE{{Flags: aceOwner, Mask: 0x20}}, got[i].ACL)
				got[i].ACL, got[i].Flags = nil, got[i].Flags|aclTrivial
			}
			must.Eq(t, want, got)
			dir, _, err := extract(t, data, Options{})
			must.NoError(t, err)
			must.StrHasPrefix(t, "root:", content(t, dir, "m/etc/passwd"))
		}
	}
	t.Run("a long target is content", func(t *testing.T) {
		long := strings.Repeat("up/", 30)
		n := znodeOf(t, hiLink)
		n.symlink, n.size = long, int64(len(long))
		e := streamOfZPL(t, 4)
		p := e.at(1, drrObject, hiLink)
		p.payload = znodePhysOf(n)[:znodeSize]
		p.setU32(20, znodeSize)
		at := e.index(1, drrObject, hiLink)
		for e[at+1].recordType() == drrFree {
			e = slices.Delete(e, at+1, at+2)
		}
		e = slices.Insert(e, at+1, writeOf(hiLink, 0, typePlainFile, block512(long)))
		dir, _, err := extract(t, e.encode(), Options{})
		must.NoError(t, err)
		found := ""
		must.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if d.Type() == os.ModeSymlink {
				if target, err := os.Readlink(path); err == nil && target == long {
					found = path
				}
			}
			return err
		}))
		must.NotEq(t, "", found)
		binary.LittleEndian.PutUint64(p.payload[80:], maxTarget)
		_, _, err = extract(t, e.encode(), Options{})
		must.ErrorContains(t, err, "object 17: a link to a path of 4096 bytes, 4096 or more")
	})
	t.Run("a new version", func(t *testing.T) {
		_, _, err := extract(t, streamOfZPL(t, 9).encode(), Options{})
		must.ErrorContains(t, err, "file systems of ZPL version 9 are not supported: only of 1 to 5")
	})
}

// znodeOf is a node of small's dataset m, which is the last.
func znodeOf(t testing.TB, number uint64) (n *znode) {
	readFiles(t, smallStream(), nil, func(f *zpl) { _, n, _ = f.znode(number) })
	must.NotNil(t, n)
	return n
}
