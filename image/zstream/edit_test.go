package zstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/shoenig/test/must"
)

// piece is a record that a test may change.
type piece struct {
	header  [headerSize]byte
	payload []byte
}

// edited is a stream in pieces.
type edited []*piece

func (p *piece) kind() kind { return kind(binary.LittleEndian.Uint32(p.header[:])) }

func (p *piece) u64(at int) uint64 { return binary.LittleEndian.Uint64(p.header[bodyOffset+at:]) }

func (p *piece) setU64(at int, v uint64) {
	binary.LittleEndian.PutUint64(p.header[bodyOffset+at:], v)
}

func (p *piece) setU32(at int, v uint32) {
	binary.LittleEndian.PutUint32(p.header[bodyOffset+at:], v)
}

// edit takes a stream apart.
func edit(t testing.TB, data []byte) edited {
	t.Helper()
	var e edited
	for rs := newRecords(context.Background(), bytes.NewReader(data)); ; {
		rec, err := rs.read()
		if err != nil {
			must.ErrorIs(t, err, io.ErrUnexpectedEOF)
			return e
		}
		e = append(e, &piece{rs.header, bytes.Clone(rec.payload)})
	}
}

// seal puts a stream together, with checksums that hold.
func (e edited) seal() []byte {
	return e.sealed(order{})
}

// sealed is seal of a stream of either order.
func (e edited) sealed(o order) []byte {
	var out bytes.Buffer
	_ = e.sealIn(&out, o)
	return out.Bytes()
}

func (e edited) sealTo(w io.Writer) error { return e.sealIn(w, order{}) }

func (e edited) sealIn(w io.Writer, o order) error {
	var sum fletcher4
	open, list := false, false
	for _, p := range e {
		h := p.header
		switch {
		case kindIn(p, o) == begin:
			open, list, sum = true, o.u64(p.header[bodyOffset+8:])&3 == compound, fletcher4{}
		case !open:
		default:
			if kindIn(p, o) == end {
				putSum(h[bodyOffset:], sum, o)
				open = false
			}
			sum.Write(h[:sumOffset], o)
			if kindIn(p, o) != end || !list {
				putSum(h[sumOffset:], sum, o)
			}
		}
		if kindIn(p, o) == begin {
			sum.Write(h[:], o)
		} else {
			sum.Write(h[sumOffset:], o)
		}
		sum.Write(p.payload[:len(p.payload)&^3], o)
		if _, err := w.Write(h[:]); err != nil {
			return err
		}
		if _, err := w.Write(p.payload); err != nil {
			return err
		}
	}
	return nil
}

func kindIn(p *piece, o order) kind { return kind(o.u32(p.header[:])) }

func putSum(p []byte, sum fletcher4, o order) {
	for i, v := range sum {
		if o.big {
			binary.BigEndian.PutUint64(p[8*i:], v)
		} else {
			binary.LittleEndian.PutUint64(p[8*i:], v)
		}
	}
}

// index is where the first record of that kind is, of an object of a dataset.
func (e edited) index(dataset int, k kind, object uint64) int {
	return slices.IndexFunc(e, func(p *piece) bool {
		if p.kind() == begin && p.u64(8)&3 == substream {
			dataset--
		}
		return dataset < 0 && p.kind() == k && (object == 0 || p.u64(0) == object)
	})
}

// at is that record.
func (e edited) at(dataset int, k kind, object uint64) *piece { return e[e.index(dataset, k, object)] }

// Objects of hello's dataset m.
const (
	binDir  = 2
	etcDir  = 3
	varDir  = 11 // with nothing but runDir in it
	runDir  = 12
	bigFile = 13
	passwd  = 14
	hiLink  = 17
)

// small is the stream of hello with little of the program in it.
func small(t testing.TB) edited {
	t.Helper()
	return edit(t, smallStream())
}

var smallStream = sync.OnceValue(func() []byte {
	t := &testing.T{}
	e := edit(t, stream(t, "hello-linux_1.0.xz"))
	first := e.index(1, write, bigFile)
	n := 0
	e = slices.DeleteFunc(e, func(p *piece) bool {
		drop := n > first && p.kind() == write && p.u64(0) == bigFile
		n++
		return drop
	})
	// One block, which is a fraction of the file.
	e[first].payload = bytes.Repeat([]byte("program "), 64)
	e[first].setU64(24, 512)
	return e.seal()
})

// entries are those of a microzap: 64 bytes each, the name 14 in.
func (p *piece) entry(i int) []byte { return p.payload[64+64*i : 128+64*i] }

func (p *piece) setName(i int, name string) {
	clear(p.entry(i)[14:])
	copy(p.entry(i)[14:], name)
}

func (p *piece) setValue(i int, v uint64) { binary.LittleEndian.PutUint64(p.entry(i), v) }
