package supervise

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

func TestProcess_giveStreams(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	const user = 65533
	owner := func(f *os.File) uint32 {
		info, err := f.Stat()
		must.NoError(t, err)
		return info.Sys().(*syscall.Stat_t).Uid
	}
	open := func(name string, flag int) *os.File {
		f, err := os.OpenFile(name, flag, 0)
		must.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	dir := t.TempDir()
	fifo, file, linked := filepath.Join(dir, "fifo"), filepath.Join(dir, "file"), filepath.Join(dir, "linked")
	must.NoError(t, errors.Join(syscall.Mkfifo(fifo, 0o600), syscall.Mkfifo(linked, 0o600), os.WriteFile(file, nil, 0o600)))
	must.NoError(t, os.Link(linked, filepath.Join(dir, "other")))
	r, w, err := os.Pipe()
	must.NoError(t, err)
	defer r.Close()
	defer w.Close()
	ptm, tty, err := pty.Open()
	must.NoError(t, err)
	defer ptm.Close()
	defer tty.Close()
	null := open(os.DevNull, os.O_RDWR)

	give := func(in, out *os.File, terminal bool, uid uint32) {
		p := Process{Stdin: in, Stdout: out, Stderr: out, Terminal: terminal, Identity: Identity{UID: uid}}
		p.chownStreams()
	}
	give(null, w, false, user)
	must.Eq(t, uint32(user), owner(w))
	must.Eq(t, uint32(0), owner(null), must.Sprint("the host's device"))
	for _, f := range []*os.File{open(fifo, os.O_RDWR), open(file, os.O_RDWR)} {
		give(null, f, false, user)
		must.Eq(t, uint32(user), owner(f))
		give(null, f, false, 0) // the next time as another
		must.Eq(t, uint32(0), owner(f))
	}
	give(tty, tty, false, user)
	must.Eq(t, uint32(0), owner(tty), must.Sprint("no terminal of the command's"))
	give(tty, tty, true, user)
	must.Eq(t, uint32(user), owner(tty))
	f := open(linked, os.O_RDWR)
	give(null, f, false, user)
	must.Eq(t, uint32(0), owner(f), must.Sprint("it may be another's"))
}
