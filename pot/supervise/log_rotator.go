package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// RotatedSuffix ends the name of the older of an output's two files.
const RotatedSuffix = ".1"

// logRotator copies one output of a command from a pipe to a file. A full file is renamed
// to its name with RotatedSuffix and replaces the one before: the newest output is kept, at
// most twice max.
//
// The command never sees a write error, and neither a full disk nor a reader of the files
// blocks it: what cannot be written is lost and reported in the supervisor's log. A reader
// that is more than two files behind misses what was between.
type logRotator struct {
	from *os.File // read end of the command's pipe
	path string
	max  int64 // bytes in a file

	file *os.File
	size int64 // of file
	err  error // the last that was reported

	flushed chan struct{} // closed when all that was written before flush is in the files
	ended   chan struct{} // closed when the last writer has closed the pipe
}

// newLogRotator starts a rotator for the existing file at path, whose directory only root
// can write to. w is the command's end of the pipe; the caller closes it once the command
// has it.
//
// The rotator opens files by path: a supervisor that had the directory open could not start
// the command (checkNoDirectory).
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

// run copies output until the last writer closes the pipe. Processes that the command left
// behind in its jail may write after its end.
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

// flush waits until all that was written before is in the files. It may be called once.
func (k *logRotator) flush() {
	k.from.SetReadDeadline(time.Now())
	select {
	case <-k.flushed:
	case <-k.ended:
	}
}

// write appends p, and rotates where a file is full.
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

// rotate starts a new file. If that fails, it truncates the current one.
func (k *logRotator) rotate() error {
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

// openNext renames the full file to the older one's name and creates its successor. It
// fails if another file is at path: the pot may have been destroyed and another pot of the
// same name created, which has its files there.
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

// report writes err to the supervisor's log unless it was the last error as well.
func (k *logRotator) report(err error) {
	if err != nil && (k.err == nil || k.err.Error() != err.Error()) {
		fmt.Fprintf(os.Stderr, "keep output: %v\n", err)
	}
	k.err = err
}
