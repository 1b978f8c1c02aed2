package supervise

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// openOutput opens the fifo or file that a command writes to. keep is the end of a fifo
// that the supervisor holds open as well, nil for a file.
//
// A task can write to the directory of its own logs. So openOutput does not follow path if
// it is a link, and refuses anything but a fifo or a regular file (the swap of
// CVE-2026-6959).
func openOutput(path string) (w *os.File, keep *fifo, err error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	base := filepath.Base(path)
	// os.Root would follow a link within the directory.
	info, err := root.Lstat(base)
	if err != nil {
		return nil, nil, fmt.Errorf("open output: %w", err)
	}
	if kind := info.Mode().Type(); kind != 0 && kind != fs.ModeNamedPipe {
		return nil, nil, fmt.Errorf("open output: %s is neither fifo nor file: %s", path, info.Mode())
	}
	// Opened for reading and writing, a fifo needs no reader yet (fifo(7)).
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

// openSame opens base and fails unless it is still the file that info describes.
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

// fifo is an output of a command that another process reads.
type fifo struct {
	file *os.File // read and write
	path string
}

// A fifo's content is lost when its last descriptor is closed. A reader that is being
// restarted, as a log collector is with its agent, has readerTimeout to return.
const (
	readerTimeout = 5 * time.Minute
	readerEvery   = 20 * time.Millisecond
)

// release closes the fifo once its content has been read, once the fifo has no name by
// which a reader could open it, or at deadline.
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
