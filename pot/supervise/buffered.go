package supervise

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// minBuffered is how many bytes ReadBuffered tries to read at least. A Linux terminal holds
// more than FIONREAD returns (n_tty.c: 4 KiB, and 8 KiB in pty.c before that).
const minBuffered = 64 << 10

// ReadBuffered reads what the kernel has buffered of a pipe or a terminal, through buf, and
// calls take with each part. It does not wait for more, and it ends even if a writer never
// stops. f must be non-blocking, as the ends of os.Pipe are. f may be past its deadline,
// where its own methods read nothing.
func ReadBuffered(f *os.File, buf []byte, take func([]byte)) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	for left := max(bufferedBytes(conn), minBuffered); left > 0; {
		n, failed := 0, error(nil)
		err := conn.Control(func(fd uintptr) { n, failed = syscall.Read(int(fd), buf[:min(left, len(buf))]) })
		if errors.Is(failed, syscall.EINTR) {
			continue
		}
		if err != nil || failed != nil || n <= 0 {
			return
		}
		take(buf[:n])
		left -= n
	}
}

// bufferedBytes returns how many bytes FIONREAD says a pipe or a terminal holds, 0 if the
// call fails.
func bufferedBytes(conn syscall.RawConn) int {
	var n int32
	var errno syscall.Errno
	err := conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, fionread, uintptr(unsafe.Pointer(&n)))
	})
	if err != nil || errno != 0 {
		return 0
	}
	return int(n)
}
