package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"nomad-driver-pot/pot/flock"
)

// RotatedSuffix is what the name of a file of output ends in that was full.
const RotatedSuffix = ".1"

// readersTimeout is how long those who read the older file may take before it goes.
const readersTimeout = 10 * time.Second

// logRotator keeps the newest of what a command writes to one of its outputs, in two files:
// it comes through a pipe, and a file that is full takes the place of the older one. A
// command is never held up for want of room, nor told of it: what cannot be written is
// lost. It waits for those who read (flock.Read), as it would at a pipe, within a bound.
type logRotator struct {
	from *os.File // the pipe
	path string
	max  int64 // bytes in a file

	file *os.File
	size int64
	err  error // that was told last

	flushed chan struct{} // closed when all that was written before settle is kept
	ended   chan struct{} // closed when nobody can write any more
}

// newLogRotator is for a command's output to be kept in path, a file that is there, and
// whose directory is the supervisor's own. w is for the command, and must be closed here
// once it has it. The keeper opens files by path: a supervisor that had their directory
// open could not start the command (checkNoDirectory).
func newLogRotator(path string, max int64) (k *logRotator, w *os.File, err error) {
	k = &logRotator{path: path, max: max, flushed: make(chan struct{}), ended: make(chan struct{})}
	k.file, err = os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|syscall.O_NOFOLLOW, 0)
	if err == nil {
		k.from, w, err = os.Pipe()
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open output: %w", err), k.close())
	}
	go k.run()
	return k, w, nil
}

func (k *logRotator) close() error {
	var err error
	if k.file != nil {
		err = k.file.Close()
	}
	if k.from != nil {
		err = errors.Join(err, k.from.Close())
	}
	return err
}

// run keeps what comes until nobody can write any more: what a command has left behind
// in its jail goes on writing when it has ended.
func (k *logRotator) run() {
	defer close(k.ended)
	defer k.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := k.from.Read(buf)
		k.write(buf[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			ReadBuffered(k.from, buf, k.write)
			err = k.from.SetReadDeadline(time.Time{})
			close(k.flushed)
		}
		if err != nil {
			return
		}
	}
}

// flush waits until all that was written before is kept. It is called once.
func (k *logRotator) flush() {
	k.from.SetReadDeadline(time.Now())
	select {
	case <-k.flushed:
	case <-k.ended:
	}
}

// write keeps p.
func (k *logRotator) write(p []byte) {
	for len(p) > 0 {
		if k.size >= k.max {
			k.report(k.rotate())
		}
		if k.file == nil {
			return
		}
		n, err := k.file.Write(p[:min(int64(len(p)), max(k.max-k.size, 0))])
		k.size += int64(n)
		p = p[n:]
		if err != nil {
			k.report(err)
			return
		}
	}
}

// waitForReaders waits until nobody reads the older file.
func (k *logRotator) waitForReaders() {
	f, err := os.OpenFile(k.path+RotatedSuffix, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer f.Close()
	for end := time.Now().Add(readersTimeout); flock.Reading(f) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// rotate begins another file. If it cannot, the one that there is begins anew.
func (k *logRotator) rotate() error {
	k.waitForReaders()
	next, err := k.openNext()
	if err == nil {
		err = k.file.Close()
		k.file, k.size = next, 0
		return err
	}
	if _, e := k.file.Seek(0, io.SeekStart); e != nil {
		return errors.Join(err, e)
	}
	k.size = 0
	return errors.Join(err, k.file.Truncate(0))
}

// openNext moves the full file to where the older one is, and creates its successor. It
// leaves a file alone that is not its own: since its pot was destroyed, another pot of the
// same name may have its files there.
func (k *logRotator) openNext() (*os.File, error) {
	mine, err := k.file.Stat()
	if err != nil {
		return nil, err
	}
	switch now, err := os.Lstat(k.path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case !os.SameFile(mine, now):
		return nil, fmt.Errorf("%s is another file by now", k.path)
	default:
		if err := os.Rename(k.path, k.path+RotatedSuffix); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(k.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL follows no link (open(2))
}

// report says what became of output, once in a row: in the supervisor's own log.
func (k *logRotator) report(err error) {
	if err != nil && (k.err == nil || k.err.Error() != err.Error()) {
		fmt.Fprintf(os.Stderr, "keep output: %v\n", err)
	}
	k.err = err
}
