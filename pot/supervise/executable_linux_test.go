package supervise

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

// script is a program that prints its argument.
const script = "#!/bin/sh\necho ran $1\n"

// The program is executed from a read-only mount, or from a copy in memory where its mount
// cannot be copied. In both cases it cannot be changed through its descriptor.
func TestExecutable(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	unbindable := t.TempDir()
	must.NoError(t, unix.Mount("test", unbindable, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() { must.NoError(t, unix.Unmount(unbindable, 0)) })
	must.NoError(t, unix.Mount("", unbindable, "", unix.MS_UNBINDABLE, ""))
	const inMemory = "it runs as a copy in memory"
	for kind, dir := range map[string]string{"it runs from a mount of its own": t.TempDir(), inMemory: unbindable} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(dir, "program")
			must.NoError(t, os.WriteFile(path, []byte(script), 0o755))
			before, err := os.Stat(path)
			must.NoError(t, err)
			name, files, err := executable(path, make([]*os.File, firstExtra))
			must.NoError(t, err)
			must.Len(t, firstExtra+1, files)
			defer closeFiles(files[firstExtra:])
			must.Eq(t, kind == inMemory, strings.HasPrefix(descriptorPath(int(files[firstExtra].Fd())), "/memfd:"))

			cmd := exec.Command(name, "it")
			cmd.ExtraFiles = files[firstExtra:]
			out, err := cmd.Output()
			must.NoError(t, err)
			must.Eq(t, "ran it\n", string(out))

			tryToChange(t, fmt.Sprintf("%s/%d", ownDescriptors, files[firstExtra].Fd()))
			data, err := os.ReadFile(path)
			must.NoError(t, err)
			must.Eq(t, script, string(data))
			after, err := os.Stat(path)
			must.NoError(t, err)
			must.Eq(t, before.Sys().(*syscall.Stat_t).Ctim, after.Sys().(*syscall.Stat_t).Ctim)
			cmd = exec.Command(name, "again")
			cmd.ExtraFiles = files[firstExtra:]
			out, err = cmd.Output()
			must.NoError(t, err)
			must.Eq(t, "ran again\n", string(out))
		})
	}
}

// tryToChange fails the test if the content of the file can be changed. It changes its mode
// and owner if it can: those of the original must not follow.
func tryToChange(t *testing.T, path string) {
	t.Helper()
	must.Error(t, os.Truncate(path, 0))
	if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		defer f.Close()
		_, err = f.WriteString("overwritten")
		must.ErrorIs(t, err, fs.ErrPermission)
		_, err = unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_WRITE, unix.MAP_SHARED)
		must.ErrorIs(t, err, fs.ErrPermission)
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, 0)
		must.ErrorIs(t, err, fs.ErrPermission)
	}
	os.Chmod(path, 0o777)
	os.Chown(path, 1234, 1234)
}

func TestExecutable_refused(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	_, _, err := executable(filepath.Join(dir, "nosuch"), nil)
	must.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Start(t.Context(), filepath.Join(dir, "nosuch"), Task{Dir: dir})
	must.EqError(t, err, filepath.Join(dir, "nosuch")+" run: no such file or directory")
	plain := filepath.Join(dir, "plain")
	must.NoError(t, os.WriteFile(plain, []byte(script), 0o644))
	_, err = sealedCopy(plain)
	must.ErrorIs(t, err, syscall.EACCES)
	_, err = Start(t.Context(), plain, Task{Dir: t.TempDir()})
	must.EqError(t, err, plain+" run: permission denied")
}

func TestHide(t *testing.T) {
	leak.Check(t)
	was, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	must.NoError(t, err)
	defer unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(was), 0, 0, 0)
	must.NoError(t, preventTracing())
	now, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	must.NoError(t, err)
	must.Eq(t, 0, now)
}
