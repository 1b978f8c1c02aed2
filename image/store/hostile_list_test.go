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
