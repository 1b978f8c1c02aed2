package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"
)

// executable returns the name to execute in place of the program at path, and files plus
// one descriptor that the new process must have at that position. The caller closes the
// last of files.
//
// A command may turn out to be the program that executes it, as /proc/self/exe or as the
// interpreter of a script. Then /proc/PID/exe in the pot leads to the program's own file,
// wherever that is, and root of the pot could write to it (CVE-2019-5736). So the program
// is executed from a mount or a copy that nobody can write to.
func executable(path string, files []*os.File) (name string, with []*os.File, err error) {
	f, err := readOnlyMount(path)
	if err != nil { // an older kernel, or a mount that cannot be copied (mount(2), MS_UNBINDABLE)
		f, err = sealedCopy(path)
	}
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("%s/%d", ownDescriptors, len(files)), append(files[:len(files):len(files)], f), nil
}

// readOnlyMount opens the file at path on a read-only mount made for it.
func readOnlyMount(path string) (*os.File, error) {
	f, err := copyMount(path)
	if err != nil {
		return nil, err
	}
	if err := setReadOnly(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// From linux/memfd.h and linux/fcntl.h. Linux 6.3 wants MFD_EXEC, earlier ones refuse it.
const (
	mfdCloexec      = 1
	mfdAllowSealing = 2
	mfdExec         = 0x10
	fAddSeals       = 1033
	allSeals        = 0x1 | 0x2 | 0x4 | 0x8 // F_SEAL_SEAL, _SHRINK, _GROW, _WRITE
	accessExecute   = 1                     // X_OK
)

// sealedCopy opens a copy of the file at path, in memory, that nobody can change.
func sealedCopy(path string) (*os.File, error) {
	if err := syscall.Access(path, accessExecute); err != nil {
		return nil, err
	}
	from, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer from.Close()
	// A file that is open for writing cannot be executed (ETXTBSY). ForkLock keeps other
	// goroutines from starting a process that inherits the descriptor meanwhile.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	copied, err := newMemory()
	if err != nil {
		return nil, err
	}
	defer copied.Close()
	if _, err := io.Copy(copied, from); err != nil {
		return nil, fmt.Errorf("copy to memory: %w", cause(err))
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, copied.Fd(), fAddSeals, allSeals); errno != 0 {
		return nil, os.NewSyscallError("seal", errno)
	}
	f, err := os.Open(fmt.Sprintf("%s/%d", ownDescriptors, copied.Fd()))
	if err != nil {
		return nil, fmt.Errorf("open copy in memory: %w", cause(err))
	}
	return f, nil
}

// newMemory returns a file in memory that can be sealed.
func newMemory() (*os.File, error) {
	name := [...]byte{'p', 'o', 't', 0}
	for _, flags := range []uintptr{mfdCloexec | mfdAllowSealing | mfdExec, mfdCloexec | mfdAllowSealing} {
		fd, _, errno := syscall.Syscall(sysMemfdCreate, uintptr(unsafe.Pointer(&name)), flags, 0)
		switch errno {
		case 0:
			return os.NewFile(fd, "memory"), nil
		case syscall.EINVAL:
		default:
			return nil, os.NewSyscallError("memfd_create", errno)
		}
	}
	return nil, os.NewSyscallError("memfd_create", syscall.EINVAL)
}

// prSetDumpable is PR_SET_DUMPABLE of linux/prctl.h.
const prSetDumpable = 4

// preventTracing keeps other processes from tracing this one, and from reading in /proc
// what it runs, has open and has in memory (ptrace(2), "Ptrace access mode checking"). It
// lasts until this process executes another program or changes its user.
func preventTracing() error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
	return os.NewSyscallError("prctl", errnoError(errno))
}
