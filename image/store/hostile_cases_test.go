package store_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
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

// hostileAll are all of them.
func hostileAll() []hostileCase {
	return slices.Concat(hostileDamaged(), hostileRecords(), hostileLists(), hostileTrees())
}

func TestHostile_count(t *testing.T) {
	leak.Check(t)
	must.GreaterEq(t, 60, len(hostileAll()))
}
