package supervise

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// openOutput opens what a command writes to and, if that is a fifo, what the supervisor
// keeps open of it while the command does. A task can write to the directory of its own logs, so the last
// part of path is not followed if it is a link, nor opened if it has become
// anything but a fifo or a file (the swap of CVE-2026-6959).
func openOutput(path string) (w *os.File, keep *fifo, err error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	base := filepath.Base(path)
	// A link within the directory is one that Root would follow.
	info, err := root.Lstat(base)
	if err != nil {
		return nil, nil, fmt.Errorf("open output: %w", err)
	}
	if kind := info.Mode().Type(); kind != 0 && kind != fs.ModeNamedPipe {
		return nil, nil, fmt.Errorf("open output: %s is neither fifo nor file: %s", path, info.Mode())
	}
	// Opened for both, a fifo needs no reader yet (fifo(7)).
	both, err := openSame(root, base, os.O_RDWR|syscall.O_NONBLOCK, info)
	if err != nil {
		return nil, nil, err
	}
	if info.Mode().IsRegular() {
		return both, nil, nil
	}
	w, err = openSame(root, base, os.O_WRONLY, info)
	if err != nil {
		both.Close()
		return nil, nil, err
	}
	return w, &fifo{both, path}, nil
}

// openSame opens base, if it is still what info says.
func openSame(root *os.Root, base string, flag int, info fs.FileInfo) (*os.File, error) {
	f, err := root.OpenFile(base, flag|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		f.Close()
		return nil, fmt.Errorf("open output: %s was swapped while it was opened", base)
	}
	return f, nil
}

// fifo is a command's output that another process reads.
type fifo struct {
	file *os.File // an end of it
	path string
}

// What a fifo holds is lost with the last descriptor of it. A reader that is being
// restarted, as a log collector is with its agent, has readerTimeout to come back.
const (
	readerTimeout = 5 * time.Minute
	readerEvery   = 20 * time.Millisecond
)

// release closes the fifo when all that it holds has been read, when it has no name any
// more by which a reader could come, or at the latest at deadline.
func (f *fifo) release(deadline time.Time) {
	defer f.file.Close()
	conn, err := f.file.SyscallConn()
	if err != nil {
		return
	}
	for bufferedBytes(conn) > 0 && f.named() && time.Now().Before(deadline) {
		time.Sleep(readerEvery)
	}
}

// named reports whether the fifo is still at its path.
func (f *fifo) named() bool {
	mine, err := f.file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(f.path)
	return err == nil && os.SameFile(mine, now)
}
