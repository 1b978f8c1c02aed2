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
	to   io.Writer // nil is thrown away
	gone bool      // the reader takes nothing any more

	reads   atomic.Int64 // begun and ended: odd while one waits
	checked int64        // reads, when quiet was last called
}

// outputBuffer is how much is read at once.
const outputBuffer = 32 << 10

// copy copies the output to its end, which is EIO on a terminal of Linux (pty(7)). Past
// a deadline of the file it copies what the kernel still holds, and ends then: a reader
// that is slow loses nothing, and whoever else keeps the output open keeps nobody waiting.
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

// write hands p to the reader. A reader that has gone away must not block the command.
func (o *output) write(p []byte) {
	if o.to == nil || o.gone || len(p) == 0 {
		return
	}
	_, err := o.to.Write(p)
	o.gone = err != nil
}

// quiet reports whether one and the same read waits as when it was last called: a slow
// reader that takes what was read is no quiet.
func (o *output) quiet() bool {
	before := o.checked
	o.checked = o.reads.Load()
	return o.checked == before && before%2 == 1
}
