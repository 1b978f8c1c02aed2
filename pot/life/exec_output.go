package life

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"nomad-driver-pot/pot/supervise"
)

// output is one of a command's outputs on its way to its reader.
type output struct {
	from io.Reader // a pipe or a terminal
	to   io.Writer // nil: discarded
	gone bool      // whether a write to to has failed: the rest is discarded

	reads   atomic.Int64 // counts each read twice, at its begin and end: odd while a read waits
	checked int64        // value of reads when quiet was last called
}

// outputBuffer is how much is read at once, in bytes.
const outputBuffer = 32 << 10

// copy copies the output to its end, which is EIO on a terminal of Linux (pty(7)). After
// the read deadline of the file it copies what the kernel still holds, and returns: so a
// slow reader loses nothing, and a process that keeps the output open does not block Exec.
func (o *output) copy() {
	buf := make([]byte, outputBuffer)
	for {
		n, err := o.read(buf)
		o.write(buf[:n])
		if f, ok := o.from.(*os.File); ok && errors.Is(err, os.ErrDeadlineExceeded) {
			supervise.ReadBuffered(f, buf, o.write)
		}
		if err != nil {
			return
		}
	}
}

func (o *output) read(buf []byte) (int, error) {
	o.reads.Add(1)
	defer o.reads.Add(1)
	return o.from.Read(buf)
}

// write writes p to the reader. After a failed write it discards the output, so that the
// command is not blocked.
func (o *output) write(p []byte) {
	if o.to == nil || o.gone || len(p) == 0 {
		return
	}
	_, err := o.to.Write(p)
	o.gone = err != nil
}

// quiet reports whether the read that waits is the one that waited at the last call. An
// output whose reader is slow is not quiet: then no read waits.
func (o *output) quiet() bool {
	before := o.checked
	o.checked = o.reads.Load()
	return o.checked == before && before%2 == 1
}
