package supervise

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
)

// oPath is O_PATH (FreeBSD's sys/fcntl.h; Linux's asm-generic/fcntl.h).
var oPath = map[string]int{"freebsd": 0x00400000, "linux": 0o10000000}[runtime.GOOS]

// opened returns descriptors of a directory and of a file, each at a low and at a high
// number, none of them close-on-exec.
func opened(t *testing.T, dir string) []int {
	t.Helper()
	var all []int
	must.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for _, path := range []string{dir, filepath.Join(dir, "file")} {
		fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
		must.NoError(t, err)
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 200)
		must.NoError(t, err)
		all = append(all, fd, high)
	}
	return all
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

func closedOnExec(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	must.NoError(t, err)
	return flags&unix.FD_CLOEXEC != 0
}

func TestOpenDescriptors(t *testing.T) {
	leak.Check(t)
	fds := opened(t, t.TempDir())
	all, err := openDescriptors()
	must.NoError(t, err)
	for _, fd := range append(fds, 0, 1, 2) {
		must.SliceContains(t, all, fd)
	}
	closeAll(fds)
	all, err = openDescriptors()
	must.NoError(t, err)
	for _, fd := range fds {
		must.SliceNotContains(t, all, fd)
	}
	for _, fd := range all {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		must.NoError(t, err, must.Sprintf("descriptor %d is not open", fd))
	}
}

func TestSealDescriptors(t *testing.T) {
	leak.Check(t)
	for name, seal := range map[string]func() error{"by one call": SealDescriptors, "one by one": sealEach} {
		t.Run(name, func(t *testing.T) {
			fds := opened(t, t.TempDir())
			defer closeAll(fds)
			standard := closedOnExec(t, 2)
			for range 2 {
				must.NoError(t, seal())
				for _, fd := range fds {
					must.True(t, closedOnExec(t, fd), must.Sprint(fd))
				}
			}
			must.Eq(t, standard, closedOnExec(t, 2))
		})
	}
}

func TestCheckNoDirectory(t *testing.T) {
	leak.Check(t)
	must.NoError(t, checkNoDirectory())
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	fds := opened(t, dir)
	low, high := fds[0], fds[1]
	must.EqError(t, checkNoDirectory(), directoryError(low, dir).Error())
	syscall.Close(low)
	must.EqError(t, checkNoDirectory(), directoryError(high, dir).Error())
	closeAll(fds[1:])
	must.NoError(t, checkNoDirectory())

	t.Run("a directory counts even if it is close-on-exec, an os.Root or open with O_PATH", func(t *testing.T) {
		must.StrContains(t, directoryError(7, "/x").Error(), "descriptor 7 is an open directory: /x")
		root, err := os.OpenRoot(dir)
		must.NoError(t, err)
		must.ErrorContains(t, checkNoDirectory(), "is an open directory: "+dir)
		must.NoError(t, root.Close())
		fd, err := unix.Open(dir, oPath|unix.O_CLOEXEC, 0)
		must.NoError(t, err)
		must.EqError(t, checkNoDirectory(), directoryError(fd, dir).Error())
		must.NoError(t, unix.Close(fd))
	})
}

// inheritVariable, if set, has the test program close what it inherited and print what is
// left.
const inheritVariable = "POT_TEST_INHERITED"

// inherited is the child process of TestCloseInherited.
func inherited() int {
	own, err := os.Open(os.DevNull)
	if err != nil {
		return 1
	}
	defer own.Close()
	if CloseInherited(firstExtra+1) != nil {
		return 1
	}
	for fd, name := range map[int]string{0: "input", 1: "output", 2: "error", 3: "passed", 4: "inherited", 203: "inherited", int(own.Fd()): "own"} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			os.Stdout.WriteString(name + "\n")
		}
	}
	return 0
}

func TestCloseInherited(t *testing.T) {
	leak.Check(t)
	dir, err := os.Open(t.TempDir())
	must.NoError(t, err)
	defer dir.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), inheritVariable+"=1")
	cmd.ExtraFiles = make([]*os.File, 201)
	cmd.ExtraFiles[0], cmd.ExtraFiles[1], cmd.ExtraFiles[200] = dir, dir, dir
	out, err := cmd.Output()
	must.NoError(t, err)
	left := strings.Fields(string(out))
	slices.Sort(left)
	must.Eq(t, []string{"error", "input", "output", "own", "passed"}, left)
}
