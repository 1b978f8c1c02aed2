package nmount

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"

	"nomad-driver-pot/pot/exact"
)

// Mount calls nmount(2) with words. The error has the kernel's errmsg, if there is one.
func Mount(words []string) error {
	var iov []syscall.Iovec
	for _, word := range words {
		var v syscall.Iovec
		if word != "" {
			text, err := syscall.ByteSliceFromString(word)
			if err != nil {
				return err
			}
			v.Base = &text[0]
			v.SetLen(len(text))
		}
		iov = append(iov, v)
	}
	message := make([]byte, 256)
	key := []byte("errmsg\x00")
	iov = append(iov, syscall.Iovec{Base: &key[0]}, syscall.Iovec{Base: &message[0]})
	iov[len(iov)-2].SetLen(len(key))
	iov[len(iov)-1].SetLen(len(message))
	_, _, errno := syscall.Syscall(syscall.SYS_NMOUNT, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)), 0)
	if errno == 0 {
		return nil
	}
	for i, c := range message {
		if c == 0 && i > 0 {
			return fmt.Errorf("nmount: %w: %s", errno, message[:i])
		}
		if c == 0 {
			break
		}
	}
	return os.NewSyscallError("nmount", errno)
}

// Run is the main function of a process that reads a Beneath and mounts it. It returns the
// exit status, and writes an error to stderr.
func Run(stdin io.Reader, stderr io.Writer) int {
	var b Beneath
	err := exact.Decode(io.LimitReader(stdin, 1<<16), &b)
	if err == nil {
		err = b.mount()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// mount enters the tree and mounts. The working directory stays the host's root, from
// which the source is looked up; no directory is open, which chroot(2) would refuse where
// kern.chroot_allow_open_directories is 0.
func (b Beneath) mount() error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := syscall.Chroot(b.Root); err != nil {
		return &os.PathError{Op: "chroot", Path: b.Root, Err: err}
	}
	return Mount(b.Words)
}
