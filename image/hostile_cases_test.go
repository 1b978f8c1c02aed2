package image_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/zstream"
)

// hostileCase is an image whose digest is right and whose stream is not.
type hostileCase struct {
	name   string
	stream func() []byte
	want   string // in the error, which begins with "import REF: "
}

// hostileEdit is one that differs from a good one in what edit does.
func hostileEdit(name, want string, edit func(s *hostileStream)) hostileCase {
	return hostileCase{name, func() []byte {
		s := hostileSplit(hostileGood())
		edit(&s)
		return s.seal()
	}, want}
}

// hostileDamaged are cut and flipped at every kind of record, with no checksum
// repaired: what is said of them has the record and its place.
func hostileDamaged() (cases []hostileCase) {
	s, good := hostileSplit(hostileGood()), hostileGood()
	seen := map[int]bool{}
	for i, r := range s {
		if seen[r.kind()] || i == 1 { // the END of the list is an END
			continue
		}
		seen[r.kind()] = true
		kind, at := drrNames[r.kind()], s.offset(i)
		cut := func(what string, n int, want string) {
			cases = append(cases, hostileCase{"cut " + what + " the " + kind, func() []byte { return good[:n] }, want})
		}
		flip := func(what string, n int, want string) {
			cases = append(cases, hostileCase{"a bit of the " + what + " of the " + kind, func() []byte {
				bad := bytes.Clone(good)
				bad[n] ^= 4
				return bad
			}, want})
		}
		if i > 0 {
			cut("before", at, fmt.Sprintf("record %d at offset %d: end of the input: more is to come: unexpected EOF", i, at))
			cut("in", at+100, fmt.Sprintf("record %d at offset %d: header: 100 of 312 bytes: unexpected EOF", i, at))
			flip("header", at+8+34, fmt.Sprintf("record %d at offset %d: %s: checksum ", i, at, kind))
		}
		if n := len(r.payload); n > 0 {
			cut("in the payload of", at+drrHeader+n/2, fmt.Sprintf("record %d at offset %d: %s: its payload of %d bytes: unexpected EOF", i, at, kind, n))
			next, bit := at+drrHeader+n, n/2
			if r.kind() == drrBegin { // of the GUID of a snapshot: another is as good
				guid := []byte("1700000000\x00\x00\x00\x00\x00\b\x00\x00\x00\x01") // name, type, number of values
				bit = bytes.Index(r.payload, guid) + len(guid)
			}
			flip("payload", at+drrHeader+bit, fmt.Sprintf("record %d at offset %d: %s: checksum ", i+1, next, drrNames[s[i+1].kind()]))
		}
	}
	return append(cases,
		hostileCase{"cut before the last END", func() []byte { return good[:len(good)-drrHeader] }, "end of the input: more is to come"},
		hostileCase{"no stream", func() []byte { return []byte("not a stream") }, "not a ZFS send stream: it ends after 12 bytes"},
		hostileCase{"an ELF program", func() []byte { return append([]byte("\x7fELF"), make([]byte, 400)...) }, "not a ZFS send stream: it begins with 7f 45 4c 46"},
		hostileCase{"an empty stream", func() []byte { return nil }, "not a ZFS send stream: it ends after 0 bytes"},
		hostileCase{"another package behind it", func() []byte { return append(bytes.Clone(good), good...) }, fmt.Sprintf("offset %d: end of the stream: more follows it", len(good))},
		hostileCase{"a dataset alone, of no package", func() []byte { return s[2:4].seal() }, "no image of a pot: it is not of zfs send -R"},
	)
}

// hostileRecords break rules of records; their checksums hold.
func hostileRecords() []hostileCase {
	edit := hostileEdit
	obj := func(name, want string, change func(r *hostileRecord)) hostileCase {
		return edit(name, want, func(s *hostileStream) { change(s.at(drrObject, s.object("big"))) })
	}
	wr := func(name, want string, change func(r *hostileRecord)) hostileCase {
		return edit(name, want, func(s *hostileStream) { change(s.at(drrWrite, s.object("big"))) })
	}
	begin := func(name, want string, change func(r *hostileRecord)) hostileCase {
		return edit(name, want, func(s *hostileStream) { change((*s)[s.dataset(1)]) })
	}
	before := func(name, want string, kind int, r func(*hostileRecord)) hostileCase {
		return edit(name, want, func(s *hostileStream) {
			n := hostileRecordOf(kind)
			r(n)
			s.insert(s.index(drrWrite, s.object("big"))+1, n)
		})
	}
	nothing := func(*hostileRecord) {}
	return []hostileCase{
		obj("object 0", "object 0: no object has that number", func(r *hostileRecord) { r.set64(0, 0) }),
		obj("an object beyond all numbers", "object 281474976710656: no object has that number", func(r *hostileRecord) { r.set64(0, 1<<48) }),
		obj("an object of no type", "type 0 is not known", func(r *hostileRecord) { r.set32(8, 0) }),
		obj("an object of type 300", "type 300 is not known", func(r *hostileRecord) { r.set32(8, 300) }),
		obj("a bonus of type 300", "attributes of type 300 are not known", func(r *hostileRecord) { r.set32(12, 300) }),
		obj("a file with a bonus of no file", "attributes of type 7 are not of files", func(r *hostileRecord) { r.set32(12, 7) }),
		obj("blocks of nothing", "blocks of 0 bytes cannot be", func(r *hostileRecord) { r.set32(16, 0) }),
		obj("blocks of a part of a sector", "blocks of 700 bytes cannot be", func(r *hostileRecord) { r.set32(16, 700) }),
		obj("large blocks", "blocks of 1048576 bytes, without feature LARGE_BLOCKS", func(r *hostileRecord) { r.set32(16, 1<<20) }),
		obj("a large dnode", "a dnode of 16896 bytes, without feature LARGE_DNODE", func(r *hostileRecord) { r.set8(26, 33) }),
		obj("unknown flags", "flags 0xf0 are not known", func(r *hostileRecord) { r.set8(27, 0xf0) }),
		obj("a raw bonus", "raw (encrypted) objects are not supported", func(r *hostileRecord) { r.set32(28, 8) }),
		obj("a bonus that the dnode has no room for", "400 bytes of attributes in a dnode of 512", func(r *hostileRecord) {
			r.payload = append(r.payload, make([]byte, 400-len(r.payload))...)
			r.set32(20, 400)
		}),
		obj("a bonus of 4 GiB", "a payload of 4294967288 bytes is more than 16777216", func(r *hostileRecord) { r.set32(20, 0xfffffff8) }),
		edit("an object twice", "OBJECT: object 7: it comes after object 7", func(s *hostileStream) {
			i := s.index(drrObject, 7)
			s.insert(i, (*s)[i].clone())
		}),
		wr("a write to no object", "object 99: there is none of that number", func(r *hostileRecord) { r.set64(0, 99) }),
		wr("a write to a directory as if to a file", "it is a directory, and content of type 19 is written to it", func(r *hostileRecord) { r.set64(0, 6) }),
		wr("a write of nothing", "invalid block: 0 bytes at offset 0", func(r *hostileRecord) { r.set64(24, 0); r.payload = nil }),
		wr("a write that is said to be of a TiB", "a payload of 1099511627776 bytes is more than 16777216", func(r *hostileRecord) { r.set64(24, 1<<40) }),
		wr("a write of 3 bytes", "a payload of 3 bytes, not a multiple of 4", func(r *hostileRecord) { r.set64(24, 3); r.payload = r.payload[:3] }),
		wr("a write far out", "bytes at offset 4611686018427387904", func(r *hostileRecord) { r.set64(16, 1<<62) }),
		wr("a write within a sector", "bytes at offset 77", func(r *hostileRecord) { r.set64(16, 77) }),
		wr("a write in an unknown compression", "without feature COMPRESSED", func(r *hostileRecord) { r.set8(42, 99); r.set64(88, uint64(len(r.payload))) }),
		wr("a payload whose lengths do not agree", "its payload is said to be of 8 bytes, and of 131072", func(r *hostileRecord) { r.setLength(8) }),
		edit("a block twice", "offset 0 is written to after what is before 131072", func(s *hostileStream) {
			i := s.index(drrWrite, s.object("big"))
			s.insert(i+1, (*s)[i].clone())
		}),
		before("a deduplicated block", "deduplicated streams are not supported", drrWriteByRef, nothing),
		before("a range of encrypted objects", "raw (encrypted) streams are not supported", drrObjectRange, nothing),
		before("a redaction", "redacted streams are not supported", drrRedact, nothing),
		before("a record of no kind", "record of type 77: no such record is known", 77, nothing),
		before("a BEGIN before the END", "BEGIN: the dataset before has no END", drrBegin, nothing),
		before("what was written freed", "offset 0 is freed after it was written", drrFree, func(r *hostileRecord) { r.set64(0, 7); r.set64(16, 512) }),
		before("objects freed beyond all numbers", "18446744073709551615 objects from there cannot be", drrFreeObjects, func(r *hostileRecord) { r.set64(0, 5); r.set64(8, 1<<64-1) }),
		before("an object freed that was announced", "it is freed after object", drrFreeObjects, func(r *hostileRecord) { r.set64(0, 2); r.set64(8, 1) }),
		before("a spill block of no object", "SPILL: object 88: there is none of that number", drrSpill, func(r *hostileRecord) { r.set64(0, 88); r.set64(8, 512); r.payload = make([]byte, 512) }),
		before("a spill block of no sector", "a spill block of 8 bytes cannot be", drrSpill, func(r *hostileRecord) { r.set64(0, 7); r.set64(8, 8); r.payload = make([]byte, 8) }),
		before("a spill block of a MiB", "a spill block of 1048576 bytes cannot be", drrSpill, func(r *hostileRecord) { r.set64(0, 7); r.set64(8, 1<<20); r.payload = make([]byte, 1<<20) }),
		before("a compressed spill block", "a compressed spill block (type 15)", drrSpill, func(r *hostileRecord) { r.set64(0, 7); r.set8(25, 15) }),
		before("an embedded block, unannounced", "an embedded block, without feature EMBED_DATA", drrWriteEmbedded, func(r *hostileRecord) {
			r.set64(0, 7)
			r.set64(8, 131072)
			r.set64(16, 512)
			r.set32(40, 8)
			r.set32(44, 8)
			r.payload = make([]byte, 8)
		}),
		before("more embedded than a pointer has", "200 bytes embedded in a block pointer, more than 112", drrWriteEmbedded, func(r *hostileRecord) { r.set32(44, 200) }),
		obj("a file that is of dnodes", "objects of type 10 are not of file systems", func(r *hostileRecord) { r.set32(8, 10) }),
		obj("a file that is a set of objects", "objects of type 11 are not of file systems", func(r *hostileRecord) { r.set32(8, 11) }),
		obj("a file that is a log", "objects of type 9 are not of file systems", func(r *hostileRecord) { r.set32(8, 9) }),
		obj("a file of a type that none has yet", "objects of type 133 are not of file systems", func(r *hostileRecord) { r.set32(8, 0x85) }),
		obj("a checksum of its own", "a checksum of its own: 9", func(r *hostileRecord) { r.set8(24, 9) }),
		obj("a compression of its own", "a compression of its own: 16", func(r *hostileRecord) { r.set8(25, 16) }),
		edit("a master node with a bonus of a dataset", "attributes of type 16, where it is a master node", func(s *hostileStream) { s.at(drrObject, 1).set32(12, 16) }),
		edit("a master node with the attributes of a file", "attributes of type 44, where it is a master node", func(s *hostileStream) {
			r := s.at(drrObject, 1)
			r.set32(12, 44)
			r.payload = bytes.Clone(s.at(drrObject, s.object("big")).payload)
			r.set32(20, uint32(len(r.payload)))
		}),
		edit("a bonus of no type", "8 bytes of attributes of no type", func(s *hostileStream) {
			r := s.at(drrObject, 1)
			r.payload = make([]byte, 8)
			r.set32(20, 8)
		}),
		obj("a bonus where the spill block's pointer is", "248 bytes of attributes where a spill block leaves 192", func(r *hostileRecord) {
			r.payload = append(r.payload, make([]byte, 248-len(r.payload))...)
			r.set32(20, 248)
			r.set8(27, 4)
		}),
		edit("a spill block of a part of a sector", "a spill block of 516 bytes cannot be", func(s *hostileStream) {
			r := s.at(drrSpill, 0)
			r.payload = append(r.payload[:512:512], 0, 0, 0, 0)
			r.set64(8, 516)
		}),
		edit("a spill block of a type far out", "a spill block of type 1879048192", func(s *hostileStream) { s.at(drrSpill, 0).set32(76, 0x70000000) }),
		edit("a spill block that was there before", "its spill block is said to be as it was, and there was none", func(s *hostileStream) { s.at(drrSpill, 0).set8(24, 4) }),
		before("a spill block of what has no attributes", "attributes of type 0 have no spill block", drrSpill, func(r *hostileRecord) { r.set64(0, 1); r.set64(8, 512); r.payload = make([]byte, 512) }),
		wr("a write between two blocks", "offset 512 is not where a block of 131072 bytes begins", func(r *hostileRecord) { r.set64(16, 512) }),
		edit("a second block of what has one", "offset 1536 is beyond its one block of 1536 bytes", func(s *hostileStream) {
			s.at(drrObject, s.object("big")).set32(16, 1536)
			r := s.at(drrWrite, s.object("big"))
			r.set64(16, 1536)
			r.set64(24, 1536)
			r.payload = r.payload[:1536]
		}),
		edit("a write of more than the one block", "a block of 131072 bytes in an object with blocks of 1536", func(s *hostileStream) { s.at(drrObject, s.object("big")).set32(16, 1536) }),
		edit("a write of a part of a directory", "object 6: a block of 512 bytes in an object with blocks of 1024", func(s *hostileStream) { s.at(drrObject, 6).set32(16, 1024) }),
		hostilePacked("a block that is compressed to more", "a block of 131072 bytes that is compressed to 131584", 15, func(r *hostileRecord) { r.payload = make([]byte, 131584) }),
		hostilePacked("a block that is compressed to a part of a sector", "a block of 131072 bytes that is compressed to 1020", 15, func(r *hostileRecord) { r.payload = r.payload[:1020] }),
		hostilePacked("a block that is compressed to nothing", "a block of 131072 bytes that is compressed to 0", 15, func(r *hostileRecord) { r.payload = nil }),
		hostilePacked("a compression that is off", "a compressed block whose compression is off", 2, func(r *hostileRecord) {}),
		hostilePacked("a compression that nobody has", "compression 77, of 512 bytes to 131072: it is not known", 77, func(r *hostileRecord) { r.payload = r.payload[:512] }),
		hostilePacked("an LZJB block that is cut", "lzjb, of 512 bytes to 131072", 3, func(r *hostileRecord) { r.payload = make([]byte, 512) }),
		edit("a compressed directory", "a compressed block, where it is a directory", func(s *hostileStream) {
			(*s)[s.dataset(1)].set64(8, 1|(1<<2|1<<17|1<<22)<<2)
			r := s.at(drrWrite, 6)
			r.set8(42, 15)
			r.set64(88, 512)
			r.payload = append([]byte{0, 0, 1, 0}, make([]byte, 508)...)
		}),
		before("all objects freed again", "it is freed after object", drrFreeObjects, func(r *hostileRecord) { r.set64(8, 1<<40) }),
		edit("a second spill block", "it has a spill block already", func(s *hostileStream) {
			i := s.index(drrSpill, 0)
			s.insert(i, (*s)[i].clone())
		}),
		edit("the END of another snapshot", "END: it ends snapshot 0x7, not", func(s *hostileStream) { s.at(drrEnd, 0).set64(32, 7) }),
		begin("a volume", "tank/jails/bad/m is a volume: only file systems are supported", func(r *hostileRecord) { r.set32(24, 3) }),
		begin("a dataset of no type", "is a dataset of type 9: only file systems", func(r *hostileRecord) { r.set32(24, 9) }),
		begin("bad magic", "bad magic number 0x7", func(r *hostileRecord) { r.set64(0, 7) }),
		begin("an encrypted dataset", "features that are not supported: RAW", func(r *hostileRecord) { r.set64(8, 1|1<<24<<2) }),
		begin("a resumed dataset", "features that are not supported: RESUMING", func(r *hostileRecord) { r.set64(8, 1|1<<20<<2) }),
		begin("what nobody knows yet", "features that are not supported: unknown bit 50", func(r *hostileRecord) { r.set64(8, 1|1<<50<<2) }),
		begin("a package in the package", "it begins a package within a package", func(r *hostileRecord) { r.set64(8, 2) }),
		begin("incremental from itself", "tank/jails/bad/m@1700000000 is incremental from itself", func(r *hostileRecord) { r.set64(40, r.u64(32)) }),
		begin("incremental from elsewhere", "what it is incremental from is not there: snapshot 0x5", func(r *hostileRecord) { r.set64(40, 5) }),
		begin("a way out", `"tank/jails/bad/../x@1700000000" is not in the list`, func(r *hostileRecord) { r.setName("tank/jails/bad/../x@1700000000") }),
		begin("an absolute name", `"/etc@1700000000" is not in the list`, func(r *hostileRecord) { r.setName("/etc@1700000000") }),
		begin("of another image", `"tank/jails/good/m@1700000000" is not in the list`, func(r *hostileRecord) { r.setName("tank/jails/good/m@1700000000") }),
		begin("a name without an end", `a name without an end: "xxxx`, func(r *hostileRecord) { r.setName(strings.Repeat("x", 256)) }),
		begin("no snapshot", `no name of a snapshot: "tank/jails/bad/m"`, func(r *hostileRecord) { r.setName("tank/jails/bad/m") }),
		begin("a snapshot with @ in it", `no name of a snapshot: "tank/jails/bad/m@a@b"`, func(r *hostileRecord) { r.setName("tank/jails/bad/m@a@b") }),
		begin("holds, in the feature of a dataset", "features that are not supported: HOLDS", func(r *hostileRecord) { r.set64(8, 1|1<<26<<2) }),
		begin("a clone of nothing", "tank/jails/bad/m@1700000000 is incremental from snapshot 0x0, and its flags are 0xd: it is neither whole nor a clone", func(r *hostileRecord) { r.set32(28, 0xd) }),
		begin("of no list", `"tank/jails/bad/n@1700000000" is not in the list of the package`, func(r *hostileRecord) { r.setName("tank/jails/bad/n@1700000000") }),
		begin("of a GUID that was not announced", "in the list of the package, 0x1 here", func(r *hostileRecord) { r.set64(32, 1) }),
		edit("m twice", `dataset "tank/jails/bad/m" comes twice`, func(s *hostileStream) {
			m := s.dataset(1)
			last := len(*s) - 1
			s.insert(last, slices.Clone((*s)[m:last])...)
		}),
		edit("m before its parent", `dataset "tank/jails/bad/m" comes before "tank/jails/bad"`, func(s *hostileStream) {
			m := s.dataset(1)
			last := len(*s) - 1
			*s = slices.Concat((*s)[:2], (*s)[m:last], (*s)[2:m], (*s)[last:])
		}),
		edit("m announced, and not sent", "the package has 1 datasets of the 2 in its list", func(s *hostileStream) {
			*s = slices.Delete(*s, s.dataset(1), len(*s)-1)
		}),
	}
}

// hostilePacked has the first block of big compressed.
func hostilePacked(name, want string, compression byte, change func(r *hostileRecord)) hostileCase {
	return hostileEdit(name, want, func(s *hostileStream) {
		(*s)[s.dataset(1)].set64(8, 1|(1<<2|1<<17|1<<22)<<2) // SA_SPILL, LZ4, COMPRESSED
		r := s.at(drrWrite, s.object("big"))
		r.set8(42, compression)
		change(r)
		r.set64(88, uint64(len(r.payload)))
	})
}

// hostileLists announce what no image may have.
func hostileLists() (cases []hostileCase) {
	list := func(name, want string, change func(l *hostileSets)) {
		cases = append(cases, hostileEdit(name, want, func(s *hostileStream) {
			l := hostileListOf(hostileGood())
			change(&l)
			(*s)[0].setPayload(l.pack())
		}))
	}
	packed := func(name, want string, change func(p []byte) []byte) {
		cases = append(cases, hostileEdit(name, want, func(s *hostileStream) {
			(*s)[0].setPayload(change(hostileListOf(hostileGood()).pack()))
		}))
	}
	for name, value := range map[string]any{
		"mountpoint": "/etc", "setuid": uint64(1), "jailed": uint64(1), "sharenfs": "on", "sharesmb": "on", "canmount": uint64(0),
		"readonly": uint64(1), "quota": uint64(1 << 40), "reservation": uint64(1 << 50), "devices": uint64(1), "exec": uint64(0),
		"keylocation": "file:///etc/spwd.db", "volsize": uint64(1 << 30), "encryption": uint64(3), "filesystem_limit": uint64(0),
	} {
		list("property "+name, fmt.Sprintf("dataset \"m\": property %s=%v is none that an image may have", name, value), func(l *hostileSets) {
			l.sets[1].props = hostileNV{{name, value}}
		})
	}
	list("a property with a source", "property sharenfs=on is none", func(l *hostileSets) {
		l.sets[0].props = hostileNV{{"sharenfs", hostileNV{{"value", "on"}, {"source", "x"}}}}
	})
	list("a label of ours on a snapshot", "snapshot 1700000000: property nomad.pot:task is this driver's own", func(l *hostileSets) {
		l.sets[1].snapProps = hostileNV{{"nomad.pot:task", "x"}}
	})
	list("a layer", `dataset "m": it is a layer on snapshot 0x9, and .meta names none`, func(l *hostileSets) { l.sets[1].more = hostileNV{{"origin", uint64(9)}} })
	list("another child", `it is to have a child m, and no others, not ["" "m" "n"]`, func(l *hostileSets) {
		l.sets = append(l.sets, hostileSet{name: "tank/jails/bad/n", guid: 9})
	})
	list("holds in the list", `list: dataset "tank/jails/bad/m": holds are not supported`, func(l *hostileSets) {
		l.sets[1].more = hostileNV{{"snapholds", hostileNV{{l.to, hostileNV{{"keep", uint64(1)}}}}}}
	})
	cases = append(cases, hostileEdit("holds in the list, and the feature of the package", "record 0 at offset 0: BEGIN: stream features that are not supported: HOLDS", func(s *hostileStream) {
		l := hostileListOf(hostileGood())
		l.sets[1].more = hostileNV{{"snapholds", hostileNV{{l.to, hostileNV{{"keep", uint64(1)}}}}}}
		(*s)[0].setPayload(l.pack())
		(*s)[0].set64(8, 2|1<<26<<2)
	}))
	list("properties twice", `list: dataset "tank/jails/bad/m": "props" comes twice`, func(l *hostileSets) {
		l.sets[1].more = hostileNV{{"props", hostileNV{{"sharenfs", "on"}}}}
	})
	list("a property twice", `list: dataset "tank/jails/bad/m": property "sharenfs" comes twice`, func(l *hostileSets) {
		l.sets[1].props = hostileNV{{"sharenfs", "off"}, {"sharenfs", "on"}}
	})
	list("a value twice", `property "atime": "value" comes twice`, func(l *hostileSets) {
		l.sets[1].props = hostileNV{{"atime", hostileNV{{"value", uint64(0)}, {"value", uint64(1)}}}}
	})
	list("datasets twice", `list: "fss" comes twice`, func(l *hostileSets) { l.more = hostileNV{{"fss", hostileNV{}}} })
	list("a name that is cut short", `list: a text with NUL in it: "snapholds\x00x"`, func(l *hostileSets) {
		l.sets[1].more = hostileNV{{"snapholds\x00x", hostileNV{}}}
	})
	list("a value that is cut short", `list: a text with NUL in it: "tank/jails/bad/m\x00x"`, func(l *hostileSets) { l.sets[1].name += "\x00x" })
	list("two snapshots with one GUID", "comes twice", func(l *hostileSets) { l.sets[1].guid = l.sets[0].guid })
	list("a snapshot without a GUID", `snapshot "1700000000" has no GUID`, func(l *hostileSets) { l.sets[1].guid = 0 })
	list("no child m", `it is to have a child m, and no others, not [""]`, func(l *hostileSets) { l.sets = l.sets[:1] })
	list("a child of another name", `not ["" "@"]`, func(l *hostileSets) { l.sets[1].name = "tank/jails/bad/@" })
	list("a child outside", `dataset "tank/jails/bad/../../x": ".." is no name`, func(l *hostileSets) { l.sets[1].name = "tank/jails/bad/../../x" })
	list("a child of the root", `dataset "/m" is not below "tank/jails/bad"`, func(l *hostileSets) { l.sets[1].name = "/m" })
	list("a child of another image", `dataset "tank/jails/other/m" is not below`, func(l *hostileSets) { l.sets[1].name = "tank/jails/other/m" })
	list("a dataset twice", `list: dataset "tank/jails/bad" comes twice`, func(l *hostileSets) { l.sets[1].name = l.sets[0].name })
	list("no datasets", "list: it has no datasets", func(l *hostileSets) { l.sets = nil })
	list("a raw package", "raw (encrypted) packages are not supported", func(l *hostileSets) { l.more = hostileNV{{"raw", uint64(1)}} })
	list("lists in lists", "list: more than 8 within each other", func(l *hostileSets) {
		for range 20 {
			l.more = hostileNV{{"x", l.more}}
		}
	})
	list("very many pairs", "list: more than 65536 pairs", func(l *hostileSets) {
		for range 66_000 {
			l.more = append(l.more, hostilePair{"x", hostileRaw{typ: 1}})
		}
	})
	list("an array of 4 GiB", "list: 4294967295 bytes where", func(l *hostileSets) { l.more = hostileNV{{"x", hostileRaw{10, 1<<32 - 1, nil}}} })
	list("a name of 2 GiB", "list: 2147483647 bytes where", func(l *hostileSets) {
		l.more = hostileNV{{"x", hostileRaw{9, 1, []byte{0x7f, 0xff, 0xff, 0xff}}}}
	})
	list("an origin as a text", `list: dataset "tank/jails/bad/m": "origin" has the wrong type`, func(l *hostileSets) { l.sets[1].more = hostileNV{{"origin", "9"}} })
	list("a parent as a text", `"parentfromsnap" has the wrong type`, func(l *hostileSets) { l.sets[1].more = hostileNV{{"parentfromsnap", "later"}} })
	list("a label of another type", "property nomad.pot:digest=1 is none that an image may have", func(l *hostileSets) {
		l.sets[1].props = hostileNV{{"nomad.pot:digest", uint64(1)}}
	})
	list("a pair within another's value", `list: "x" has 40 bytes too many`, func(l *hostileSets) {
		l.more = hostileNV{{"x", hostileRaw{16, 0, hostileNV{{"fss", uint64(1)}}.append(nil)[8:]}}}
	})
	list("more values than one", `list: "x" has 2 values, not 1`, func(l *hostileSets) { l.more = hostileNV{{"x", hostileRaw{8, 2, make([]byte, 8)}}} })
	list("a pair that is larger than its value", `list: "x" has 8 bytes too many`, func(l *hostileSets) {
		l.more = hostileNV{{"x", hostileRaw{8, 1, make([]byte, 16)}}}
	})
	packed("not in XDR", "list: not in XDR", func(p []byte) []byte { p[0] = 0; return p })
	packed("a list of version 9", "list: version 9 is not known", func(p []byte) []byte { p[7] = 9; return p })
	packed("a pair of 4 GiB", "list: a pair of 4294967295 bytes where", func(p []byte) []byte { binary.BigEndian.PutUint32(p[12:], 1<<32-1); return p })
	packed("no list", "list: a package without one", func(p []byte) []byte { return nil })
	packed("a list with something behind it", "list: 64 bytes follow it", func(p []byte) []byte { return append(p, make([]byte, 64)...) })
	return cases
}

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

// hostileAll are all of them.
func hostileAll() []hostileCase {
	return slices.Concat(hostileDamaged(), hostileRecords(), hostileLists(), hostileTrees())
}

func TestHostile_count(t *testing.T) {
	leak.Check(t)
	must.GreaterEq(t, 60, len(hostileAll()))
}
