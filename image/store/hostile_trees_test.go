package store_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"nomad-driver-pot/image/zstream"
)

// hostileTrees have records that could be, and files that could not.
func hostileTrees() []hostileCase {
	edit := hostileEdit
	attr := func(name, want, of string, change func(r *hostileRecord)) hostileCase {
		return edit(name, want, func(s *hostileStream) { change(s.at(drrObject, s.object(of))) })
	}
	const m = `dataset "tank/jails/bad/m": `
	return []hostileCase{
		edit("a name that leads up", m+`directory "/": ".." is no name`, func(s *hostileStream) { s.rename("big", "..") }),
		edit("a name that leads nowhere", m+`directory "/": "." is no name`, func(s *hostileStream) { s.rename("big", ".") }),
		edit("a name with a slash", `a name with / or NUL in it: "../x"`, func(s *hostileStream) { s.rename("big", "../x") }),
		edit("an absolute name of a file", `a name with / or NUL in it: "/etc/passwd"`, func(s *hostileStream) { s.rename("big", "/etc/passwd") }),
		edit("a name without an end", "ZAP: a name without an end", func(s *hostileStream) { s.rename("big", strings.Repeat("n", 50)) }),
		edit("a name twice", `directory "/": "long": the directory has two of that name`, func(s *hostileStream) { s.rename("big", "long") }),
		edit("a directory in place of a link", `directory "/": "out": the directory has two of that name`, func(s *hostileStream) { s.rename("etc", "out") }),
		edit("a file that is not there", `"big": object 999: there is none of that number`, func(s *hostileStream) { s.point("big", 999, 8) }),
		edit("a file that is the master node", `"big": object 1: it is a master node, and no file`, func(s *hostileStream) { s.point("big", 1, 8) }),
		edit("a circle of directories", `directory "/etc": "again": object 6: the directory has a name already`, func(s *hostileStream) { s.point("again", 6, 4) }),
		edit("a directory in itself", `"passwd": object `, func(s *hostileStream) { s.point("passwd", s.object("etc"), 4) }),
		edit("a name more than links", `it has more names than its 1 links`, func(s *hostileStream) { s.point("long", s.object("big"), 8) }),
		edit("a file that its name calls a device", "its name has type 6, its mode is 100644", func(s *hostileStream) { s.point("big", s.object("big"), 6) }),
		attr("a file that is a directory by its mode", "it is a file, its mode is 40755", "big", func(r *hostileRecord) { r.setBonus(0, 0o40755) }),
		attr("a directory that is a file by its mode", "it is a directory, its mode is 100644", "etc", func(r *hostileRecord) { r.setBonus(0, 0o100644) }),
		attr("a directory that is a link by its mode", `"etc": object 8: attributes: a link without ZPL_SYMLINK`, "etc", func(r *hostileRecord) { r.setBonus(0, 0o120777) }),
		attr("a file of no kind", "its mode is 30644", "big", func(r *hostileRecord) { r.setBonus(0, 0o30644) }),
		attr("a negative size", "attribute ZPL_SIZE: -1 bytes", "big", func(r *hostileRecord) { r.setBonus(1, 1<<64-1) }),
		attr("a foreign owner", "owner 0x100000000, of a foreign domain", "big", func(r *hostileRecord) { r.setBonus(3, 1<<32) }),
		attr("a time that is none", "2000000000 nanoseconds", "big", func(r *hostileRecord) { r.setBonus(8, 2e9) }),
		attr("attributes without a header", "attributes: they have no header", "big", func(r *hostileRecord) { r.payload[0] ^= 0xff }),
		attr("attributes of no layout", "attributes: layout 1000 is not known", "big", func(r *hostileRecord) {
			binary.LittleEndian.PutUint16(r.payload[4:], binary.LittleEndian.Uint16(r.payload[4:])&^0x3ff|1000)
		}),
		attr("a header beyond its attributes", "attributes: a header of 504 bytes in", "big", func(r *hostileRecord) {
			binary.LittleEndian.PutUint16(r.payload[4:], 63<<10|binary.LittleEndian.Uint16(r.payload[4:])&0x3ff)
		}),
		attr("attributes beyond their end", "is beyond their end", "big", func(r *hostileRecord) { binary.LittleEndian.PutUint16(r.payload[6:], 60000) }),
		attr("attributes with no room for a header", "attributes: a header of 0 bytes in", "big", func(r *hostileRecord) {
			binary.LittleEndian.PutUint16(r.payload[4:], binary.LittleEndian.Uint16(r.payload[4:])&0x3ff)
		}),
		attr("attributes without an owner", "attributes: 0 bytes behind their header", "big", func(r *hostileRecord) { r.payload = r.payload[:8]; r.set32(20, 8) }),
		attr("a project beyond the attributes", "fewer than a project needs", "big", func(r *hostileRecord) {
			r.setBonus(6, 1<<47)
			r.payload = r.payload[:128]
			r.set32(20, 128)
		}),
		attr("a bonus that is not there", "attributes: they have no header", "etc", func(r *hostileRecord) { r.set32(20, 0); r.payload = nil }),
		edit("a link without a target", "attributes: a link without ZPL_SYMLINK", func(s *hostileStream) {
			i := s.index(drrSpill, 0)
			*s = slices.Delete(*s, i, i+1)
		}),
		edit("a link with NUL in it", "a link to a path with NUL in it", func(s *hostileStream) {
			p := s.at(drrSpill, 0).payload
			p[bytes.Index(p, []byte("long"))] = 0
		}),
		edit("a spill block of other magic", `"long": object `, func(s *hostileStream) { s.at(drrSpill, 0).payload[0] ^= 0xff }),
		edit("no root", "the root: object 999: there is none of that number", func(s *hostileStream) { hostileMaster(*s, "ROOT", 999) }),
		edit("a root that is a file", "master node", func(s *hostileStream) { hostileMaster(*s, "ROOT", 2) }),
		edit("a version of a time to come", "file systems of ZPL version 99 are not supported", func(s *hostileStream) { hostileMaster(*s, "VERSION", 99) }),
		edit("attributes elsewhere", "master node of attributes: object 77: there is none", func(s *hostileStream) { hostileMaster(*s, "SA_ATTRS", 77) }),
		edit("a master node that is no ZAP", "master node: ZAP: a block of type 0x5 is not known", func(s *hostileStream) {
			binary.LittleEndian.PutUint64(s.at(drrWrite, 1).payload, 5)
		}),
		edit("a ZAP with a header and nothing else", "ZAP: leaves of 512 bytes cannot be", func(s *hostileStream) {
			p := s.at(drrWrite, 1).payload
			binary.LittleEndian.PutUint64(p, 1<<63+1)
			binary.LittleEndian.PutUint64(p[8:], 0x2F52AB2AB)
		}),
		hostileLayouts("a ZAP with a table of 2^40 pointers", "ZAP: its table of pointers is beyond its end", 32, 40),
		hostileLayouts("a ZAP with a table far out", "layouts of attributes: ZAP: a block at", 16, 1<<50),
		hostileLayouts("a fat ZAP of other magic", "ZAP: bad magic number 0x7", 8, 7),
		hostileLayouts("a ZAP with keys of numbers", "ZAP: its keys are no names", 96, 2),
		edit("a file larger than its one block", "3000 bytes in the one block of 1536", func(s *hostileStream) {
			number := s.object("passwd")
			s.at(drrObject, number).set32(16, 1536)
			s.at(drrObject, number).setBonus(1, 3000)
			r := s.at(drrWrite, number)
			r.payload = append(r.payload, make([]byte, 1536-len(r.payload))...)
			r.set64(24, 1536)
		}),
		attr("a directory that says it is elsewhere", `"etc": it is in directory 6, and says 8`, "etc", func(r *hostileRecord) { r.setBonus(5, r.u64(0)) }),
		edit("a root that is in another directory", "the root: it is in directory 6, and says 8", func(s *hostileStream) { s.at(drrObject, 6).setBonus(5, 8) }),
		edit("a directory with links too few", "a directory of 2 links with 1 in it", func(s *hostileStream) { s.at(drrObject, 6).setBonus(15, 2) }),
		edit("a directory with more names than it says", "a directory of size 2 with 4 names", func(s *hostileStream) { s.at(drrObject, 6).setBonus(1, 2) }),
		attr("a file without links", `"big": object 7: it has more names than its 0 links`, "big", func(r *hostileRecord) { r.setBonus(15, 0) }),
		attr("a list with more entries than there are", "it is said to have 2147483647 entries", "big", func(r *hostileRecord) { r.setBonus(16, 1<<31-1) }),
		edit("foreign owners", "master node: names of foreign owners are not supported", func(s *hostileStream) { hostileMasterName(*s, "utf8only", "FUID", 7) }),
		edit("quotas that are a file", "master node: userquota@: object 7: it is a file", func(s *hostileStream) { hostileMasterName(*s, "utf8only", "userquota@", 7) }),
		edit("shares that are a file", "master node: SHARES: object 7: it is a file", func(s *hostileStream) { hostileMasterName(*s, "utf8only", "SHARES", 7) }),
		edit("no queue", "queue of files to remove: object 7: it is a file", func(s *hostileStream) { hostileMaster(*s, "DELETE_QUEUE", 7) }),
		edit("a file to remove that has a name", "queue of files to remove: object 7: it has a name in the tree", func(s *hostileStream) { hostileQueue(*s, "7", 7) }),
		edit("a file to remove that is not there", "queue of files to remove: object 99: there is none of that number", func(s *hostileStream) { hostileQueue(*s, "63", 99) }),
		edit("a file to remove by another name", `queue of files to remove: "8" is object 7`, func(s *hostileStream) { hostileQueue(*s, "8", 7) }),
		edit("a name that is the 65537th of its hash", `ZAP: "big" is number 65536 of its hash`, func(s *hostileStream) { binary.LittleEndian.PutUint32(s.name("big")[8:], 65536) }),
		edit("names that are normalized in no way", "its names are normalized in no way that is known", func(s *hostileStream) {
			binary.LittleEndian.PutUint64(s.at(drrWrite, 6).payload[16:], 0x30)
		}),
		edit("a normalized name that is no UTF-8", `"b\xefg" cannot be normalized: it is no UTF-8`, func(s *hostileStream) {
			binary.LittleEndian.PutUint64(s.at(drrWrite, 6).payload[16:], 0x10)
			s.rename("big", "b\xefg")
		}),
		edit("two names that are one when they are normalized", "ZAP: two names of one hash and one number", func(s *hostileStream) {
			binary.LittleEndian.PutUint64(s.at(drrWrite, 6).payload[16:], 0x52)
			s.rename("big", "b\u00cfg")
			s.rename("etc", "bi\u0308G")
		}),
		hostileRegistry("an attribute of a number beyond all", `registry of attributes: "ZPL_PROJID" has number 60000 of 22`, "ZPL_PROJID", 8<<24|60000),
		hostileRegistry("a parent of 4000 bytes", "registry of attributes: ZPL_PARENT has 4000 bytes, not 8", "ZPL_PARENT", 4000<<24|7),
		hostileRegistry("a parent of another number", "registry of attributes: ZPL_PARENT has number 21, not 7", "ZPL_PARENT", 8<<24|21),
		hostileRegistry("an attribute swapped in no way", "registry of attributes: ZPL_XATTR is swapped in way 200, which is none", "ZPL_XATTR", 8<<24|200<<16|9),
		edit("fewer attributes than a kernel has", "registry of attributes: there are 15, fewer than 16", func(s *hostileStream) {
			p := s.at(drrWrite, 4).payload
			for at := 64 * 16; at < len(p); at += 64 {
				clear(p[at+14 : at+64])
			}
		}),
		hostileLayouts("a ZAP that puts the next block on its first", "and its next free block is 0", 56, 0),
		hostileLayouts("a ZAP with a table larger than its header", "ZAP: a table of 2^11 pointers in a header of 16384 bytes", 32, 11),
		hostileLayouts("a ZAP with another next table", "ZAP: a table of 0 blocks, of which 0 are copied", 40, 1),
		hostileLayouts("a ZAP with more entries than there are", "ZAP: it is said to have 1000 entries", 72, 1000),
		hostileLayouts("a ZAP with more leaves than there are", "ZAP: it is said to have 9 leaves", 64, 9),
		hostileLayouts("a ZAP with one pointer that leads away", "ZAP: pointers to blocks 1 and 77 where all must lead to one leaf", 8192+8*500, 77),
		hostileLeaf("a leaf with a chain that leads out", "ZAP: a chain leads to chunk 60000 of 638", func(p []byte) { binary.LittleEndian.PutUint16(p[hostileBucket(p):], 60000) }),
		hostileLeaf("a leaf with a chain in a circle", "is in two chains", func(p []byte) {
			c := binary.LittleEndian.Uint16(p[hostileBucket(p):])
			binary.LittleEndian.PutUint16(p[1072+24*int(c)+2:], c)
		}),
		hostileLeaf("a leaf whose free chunks lead out", "ZAP: a chain leads to chunk 50000 of 638", func(p []byte) { binary.LittleEndian.PutUint16(p[34:], 50000) }),
		hostileLeaf("a leaf whose free chunks are not free", "in a chain of type 253", func(p []byte) { binary.LittleEndian.PutUint16(p[34:], 0) }),
		hostileLeaf("a leaf with more free chunks than it says", "ZAP: a leaf has more free chunks than it says", func(p []byte) { binary.LittleEndian.PutUint16(p[28:], 1) }),
		hostileLeaf("a leaf with an entry in no chain", "ZAP: a leaf of ", func(p []byte) { binary.LittleEndian.PutUint16(p[hostileBucket(p):], 0xffff) }),
		{"very deep directories", hostileDeep, "more than 512 directories deep"},
		edit("a link in place of conf", `directory "/": "/conf": the top dataset is to have directories and files`, func(s *hostileStream) {
			hostileTopLink(*s)
		}),
	}
}

// hostileDeep hangs one chain of directories below another: each could be.
func hostileDeep() []byte {
	chain := strings.Repeat("/d", 300)
	files, err := zstream.NewFiles(map[string]string{"first" + chain + "/leaf": "", "second" + chain + "/f": ""}, time.Unix(1, 0))
	if err != nil {
		panic(err)
	}
	s := hostileSplit(hostileWrite(files))
	for _, r := range s[s.dataset(1):] {
		if r.kind() == drrWrite && bytes.Contains(r.payload, []byte("leaf\x00")) {
			s.at(drrObject, s.object("second")).setBonus(5, r.u64(0))
			s.at(drrObject, r.u64(0)).setBonus(15, 3)
		}
	}
	s.point("leaf", s.object("second"), 4)
	clear(s.name("second"))
	return s.seal()
}

// hostileMaster changes a number in the master node of m.
func hostileMaster(s hostileStream, name string, v uint64) {
	p := s.at(drrWrite, 1).payload
	at := bytes.Index(p, append([]byte(name), 0)) - 14
	binary.LittleEndian.PutUint64(p[at:], v)
}

// hostileMasterName has another entry in the place of one in the master node.
func hostileMasterName(s hostileStream, was, name string, v uint64) {
	p := s.at(drrWrite, 1).payload
	at := bytes.Index(p, append([]byte(was), 0)) - 14
	binary.LittleEndian.PutUint64(p[at:], v)
	clear(p[at+14 : at+64])
	copy(p[at+14:], name)
}

// hostileQueue puts an entry into the queue of files to remove, which has none.
func hostileQueue(s hostileStream, name string, v uint64) {
	for _, r := range s[s.dataset(1):] {
		if r.kind() == drrWrite && r.u32(8) == 22 {
			binary.LittleEndian.PutUint64(r.payload[64:], v)
			copy(r.payload[64+14:], name)
		}
	}
}

// hostileRegistry changes what the registry of m has of an attribute.
func hostileRegistry(name, want, attribute string, v uint64) hostileCase {
	return hostileEdit(name, want, func(s *hostileStream) {
		p := s.at(drrWrite, 4).payload
		binary.LittleEndian.PutUint64(p[bytes.Index(p, append([]byte(attribute), 0))-14:], v)
	})
}

// hostileLeaf changes the leaf of the layouts of m.
func hostileLeaf(name, want string, change func(p []byte)) hostileCase {
	return hostileEdit(name, want, func(s *hostileStream) {
		i := s.index(drrWrite, 5)
		for (*s)[i].u64(16) != 16384 {
			i++
		}
		change((*s)[i].payload)
	})
}

// hostileBucket is where the first chain of a leaf begins that is not empty.
func hostileBucket(leaf []byte) int {
	for at := 48; at < 48+1024; at += 2 {
		if binary.LittleEndian.Uint16(leaf[at:]) != 0xffff {
			return at
		}
	}
	panic("the leaf has no entries")
}

// hostileLayouts changes a number in the header of the layouts of m, a fat ZAP.
func hostileLayouts(name, want string, at int, v uint64) hostileCase {
	return hostileEdit(name, want, func(s *hostileStream) {
		p := s.at(drrWrite, 5).payload
		binary.LittleEndian.PutUint64(p[at:], v)
		if at == 16 {
			binary.LittleEndian.PutUint64(p[24:], 1)
		}
	})
}

// hostileTopLink makes of the top dataset's conf the link that m has as out.
func hostileTopLink(s hostileStream) {
	link := s.at(drrObject, s.object("out"))
	for i, r := range s[:s.dataset(1)] {
		if r.kind() != drrWrite || r.u32(8) != 20 || !bytes.Contains(r.payload, []byte("conf\x00")) {
			continue
		}
		e := r.payload[bytes.Index(r.payload, []byte("conf\x00"))-14:]
		number := binary.LittleEndian.Uint64(e) & (1<<48 - 1)
		binary.LittleEndian.PutUint64(e, number|10<<60)
		for j, o := range s[i:s.dataset(1)] {
			if o.kind() == drrObject && o.u64(0) == number {
				s[i+j] = link.clone()
				s[i+j].set64(0, number)
			}
			if o.kind() == drrWrite && o.u64(0) == number { // it has no content
				s[i+j] = hostileRecordOf(drrFree)
				s[i+j].set64(0, number)
				s[i+j].set64(16, 1<<64-1)
			}
		}
	}
}
