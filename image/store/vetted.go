package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
)

// errNotRead means that a host did not read a stream to its end.
var errNotRead = errors.New("the host did not read all of the zfs stream")

// vettedBytes is the size of a write to a host: several records. A pipe holds 64 KiB, half
// of the largest usual record (128 KiB).
const vettedBytes = 256 << 10

// vetted is a stream on its way to a host, which either calls Read, or WriteTo once to have
// it written to the command that receives it. Reading needs a goroutine and a pipe; WriteTo,
// which io.Copy prefers, saves both.
type vetted struct {
	pass func(io.Writer) error // writes all of the stream, or fails

	begin sync.Once
	out   *io.PipeReader // for Read
	done  chan error     // what pass returned
}

func newVetted(pass func(io.Writer) error) *vetted {
	return &vetted{pass: pass, done: make(chan error, 1)}
}

// Read implements io.Reader.
func (v *vetted) Read(p []byte) (int, error) {
	v.begin.Do(func() {
		out, in := io.Pipe()
		v.out = out
		go func() {
			err := v.pass(in)
			in.CloseWithError(err) // nil is io.EOF
			v.done <- err
		}()
	})
	if v.out == nil {
		return 0, errors.New("internal error: a stream that was written is read")
	}
	return v.out.Read(p)
}

// WriteTo implements io.WriterTo.
func (v *vetted) WriteTo(w io.Writer) (n int64, err error) {
	err = errors.New("internal error: a stream that was begun is written")
	v.begin.Do(func() {
		to := &receiver{w: w}
		b := bufio.NewWriterSize(to, vettedBytes)
		if err = v.pass(b); err == nil {
			err = b.Flush()
		}
		n = to.n
		v.done <- err
	})
	return n, err
}

// end closes the stream and returns pass's error, or errNotRead if the host did not begin
// to read. It must be called once, when the host is done, and waits until pass has ended.
func (v *vetted) end() error {
	v.begin.Do(func() { v.done <- errNotRead })
	if v.out != nil {
		v.out.CloseWithError(errNotRead)
	}
	return <-v.done
}

// receiver writes to the host. It marks a failed write as errNotRead: the host's own error
// says more than "broken pipe".
type receiver struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (r *receiver) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	r.n += int64(n)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNotRead, err)
	}
	return n, err
}
