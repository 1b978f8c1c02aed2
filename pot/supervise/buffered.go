package supervise

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// minBuffered is how many bytes are read at least, if they are there: a terminal of Linux
// holds more than it says (n_tty.c: 4 KiB, and 8 KiB in pty.c before that).
const minBuffered = 64 << 10

// ReadBuffered reads what the kernel holds of a pipe or a terminal, through buf, and hands it
// to take. It does not wait for more, and does not go on for as long as somebody writes. f
// does not block (as the ends of os.Pipe), and may be past its deadline, where its own
// methods read nothing.
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

// bufferedBytes returns how many bytes a pipe or a terminal says that it holds, 0 if it does not.
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
