package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"nomad-driver-pot/image/zstream"
)

// hostilePair is a pair of a list as nvlist_pack(3) writes it in XDR: its value is a
// string, a uint64, a list, or hostileRaw.
type hostilePair struct {
	name  string
	value any
}

type hostileNV []hostilePair

// hostileRaw is a value of any type, with any count of elements.
type hostileRaw struct {
	typ, count uint32
	bytes      []byte
}

func (l hostileNV) pack() []byte {
	out := l.append([]byte("\x01\x01\x00\x00"))
	return append(out, make([]byte, -len(out)&7)...)
}

func (l hostileNV) append(out []byte) []byte {
	be := binary.BigEndian
	out = be.AppendUint32(be.AppendUint32(out, 0), 1)
	for _, p := range l {
		start := len(out)
		out = append(out, make([]byte, 8)...)
		out = hostileText(out, p.name)
		raw, ok := p.value.(hostileRaw)
		if !ok {
			raw = hostileValue(p.value)
		}
		out = append(be.AppendUint32(be.AppendUint32(out, raw.typ), raw.count), raw.bytes...)
		be.PutUint32(out[start:], uint32(len(out)-start))
		be.PutUint32(out[start+4:], 64)
	}
	return append(out, make([]byte, 8)...)
}

// hostileValue is a value with its type, data_type_t (include/sys/nvpair.h).
func hostileValue(value any) hostileRaw {
	switch v := value.(type) {
	case string:
		return hostileRaw{9, 1, hostileText(nil, v)}
	case uint64:
		return hostileRaw{8, 1, binary.BigEndian.AppendUint64(nil, v)}
	case hostileNV:
		return hostileRaw{19, 1, v.append(nil)}
	}
	panic(fmt.Sprintf("a value of type %T", value))
}

func hostileText(out []byte, s string) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(s)))
	return append(append(out, s...), make([]byte, -len(s)&3)...)
}

// hostileSets is the list of a package.
type hostileSets struct {
	to   string
	sets []hostileSet
	more hostileNV
}

// hostileSet is a dataset in it.
type hostileSet struct {
	name      string
	guid      uint64
	props     hostileNV
	snapProps hostileNV
	more      hostileNV
}

// hostileListOf is that of a good stream.
func hostileListOf(data []byte) hostileSets {
	s, err := zstream.Survey(context.Background(), bytes.NewReader(data), zstream.Options{})
	if err != nil {
		panic(err)
	}
	l := hostileSets{to: s.Datasets[0].Snapshot}
	for _, d := range s.Datasets {
		name := s.Top
		if d.Name != "" {
			name += "/" + d.Name
		}
		l.sets = append(l.sets, hostileSet{name: name, guid: d.GUID})
	}
	return l
}

func (l hostileSets) pack() []byte {
	var all hostileNV
	for i, d := range l.sets {
		set := hostileNV{
			{"name", d.name}, {"props", d.props}, {"snaps", hostileNV{{l.to, d.guid}}},
			{"snapprops", hostileNV{{l.to, d.snapProps}}},
		}
		all = append(all, hostilePair{fmt.Sprintf("%#x", i+1), append(set, d.more...)})
	}
	return append(hostileNV{{"tosnap", l.to}, {"fss", all}}, l.more...).pack()
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
