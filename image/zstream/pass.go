package zstream

import (
	"context"
	"io"
)

// Pass copies the stream r to w, and nothing of it before it is known to be good:
// the list of a package not before check has seen what it announces, nor any record
// before its checksum holds, which for a payload is in the header of the next one.
// check is given what Head tells, of a list whose checksum holds, or of a stream
// that is no package. After an error w has the beginning of a stream, and no end.
// Options that it needs are MaxBytes and MaxDatasets.
func Pass(ctx context.Context, w io.Writer, r io.Reader, o Options, check func(*Stream) error) (*Stream, error) {
	p := &passing{w: w, check: check}
	x := &reading{records: newRecords(ctx, r), sink: p, options: o.withDefaults(), stream: &Stream{}}
	x.records.each = p.take
	p.reading = x
	if err := x.run(); err != nil {
		return nil, err
	}
	return x.stream, p.flush()
}

// passing holds back the last record, and of a package its list as well.
type passing struct {
	passed
	reading *reading
	w       io.Writer
	check   func(*Stream) error
	held    []byte
	records int // taken so far
}

// take is given each record whole, after its header's checksum, which is that of
// all before it too, was found to hold.
func (p *passing) take(rec *record, header []byte) error {
	p.records++
	switch first := p.records == 1; {
	case first:
		p.hold(rec, header)
		return nil
	case p.records == 2:
		if err := p.announced(); err != nil {
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.hold(rec, header)
	return nil
}

func (p *passing) hold(rec *record, header []byte) {
	p.held = append(append(p.held[:0], header...), rec.payload...)
}

// announced has what the first record says looked at, now that it is whole.
func (p *passing) announced() error {
	s, err := Head(context.Background(), &once{p.held})
	if err == nil {
		err = p.check(s)
	}
	return err
}

// flush writes what is held back.
func (p *passing) flush() error {
	_, err := p.w.Write(p.held)
	p.held = p.held[:0]
	return err
}

// once reads a record that is in memory.
type once struct{ p []byte }

func (o *once) Read(p []byte) (int, error) {
	if len(o.p) == 0 {
		return 0, io.EOF
	}
	n := copy(p, o.p)
	o.p = o.p[n:]
	return n, nil
}
