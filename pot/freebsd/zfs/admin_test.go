package zfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

// fakePrograms puts a zfs and a zpool in PATH that run script, and returns the file that
// their command lines are written to.
func fakePrograms(t *testing.T, script string) (log string) {
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	text := "#!/bin/sh\necho \"${0##*/} $*\" >>'" + log + "'\ncd '" + dir + "'\n" + script
	for _, name := range []string{"zfs", "zpool"} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

const (
	columns    = "name,origin,used,available,mountpoint,compression,type,volsize,quota,referenced,written,logicalused,usedbydataset"
	filesystem = `printf 'tank/a\t-\t1\t2\t/a\toff\tfilesystem\t-\t0\t1\t1\t1\t1\n'` + "\n"
)

func TestAdmin(t *testing.T) {
	leak.Check(t)
	t.Run("each operation is one command, and go-zfs reads what it made", func(t *testing.T) {
		log := fakePrograms(t, `[ "$1" = list ] && `+filesystem+"exit 0\n")
		a, ctx := NewAdmin(), t.Context()
		must.NoError(t, a.Create(ctx, "tank/a", map[string]string{"atime": "off"}))
		must.NoError(t, a.Snapshot(ctx, "tank/a", "1"))
		must.NoError(t, a.Rollback(ctx, "tank/a@1"))
		must.NoError(t, a.Destroy(ctx, "tank/a@1", true))
		must.NoError(t, a.Destroy(ctx, "tank/a", false))
		there, err := a.Exists(ctx, "tank/a")
		must.NoError(t, err)
		must.True(t, there)
		got, err := os.ReadFile(log)
		must.NoError(t, err)
		must.Eq(t, strings.ReplaceAll(`zfs create -o atime=off tank/a
zfs list -Hp -o COLUMNS tank/a
zfs snapshot -r tank/a@1
zfs list -Hp -o COLUMNS tank/a@1
zfs rollback tank/a@1
zfs destroy -r tank/a@1
zfs destroy tank/a
zfs list -Hp -o COLUMNS tank/a
`, "COLUMNS", columns), string(got))
	})
	t.Run("children are file systems and volumes, and no snapshots", func(t *testing.T) {
		fakePrograms(t, filesystem+`printf 'tank/a@1\t-\t1\t-\t-\t-\tsnapshot\t-\t-\t1\t1\t1\t-\n'
printf 'tank/a/m\t-\t1\t2\t/a/m\toff\tfilesystem\t-\t0\t1\t1\t1\t1\n'
printf 'tank/a/v\t-\t1\t2\t-\toff\tvolume\t1\t-\t1\t1\t1\t1\n'
`)
		names, err := NewAdmin().Children(t.Context(), "tank/a")
		must.NoError(t, err)
		must.Eq(t, []string{"m", "v"}, names)
	})
	t.Run("an error is a command's, and is what it stands for", func(t *testing.T) {
		fakePrograms(t, "echo \"cannot open 'tank/a': dataset does not exist\nadvice\" >&2; exit 3\n")
		a := NewAdmin()
		err := a.Rollback(t.Context(), "tank/a@1")
		must.EqError(t, err, "zfs rollback tank/a@1: exit status 3: cannot open 'tank/a': dataset does not exist")
		must.ErrorIs(t, err, fs.ErrNotExist)
		var failed *run.Error
		must.True(t, errors.As(err, &failed))
		must.Eq(t, []string{"zfs", "rollback", "tank/a@1"}, failed.Argv)
		there, err := a.Exists(t.Context(), "tank/a")
		must.NoError(t, err)
		must.False(t, there)
	})
	t.Run("programs are found in /sbin, whatever PATH is, and one that is missing is named", func(t *testing.T) {
		t.Setenv("PATH", "/usr/local/bin")
		a := NewAdmin()
		must.Eq(t, "/usr/local/bin:/sbin", os.Getenv("PATH"))
		NewAdmin()
		must.Eq(t, "/usr/local/bin:/sbin", os.Getenv("PATH"))
		t.Setenv("PATH", t.TempDir())
		_, err := a.Health(t.Context(), "tank")
		must.ErrorContains(t, err, `"zpool": executable file not found in $PATH`)
	})
}

// zpoolGet is what zpool get -Hp prints of a pool.
func zpoolGet(health, free, dedup string) string {
	return strings.NewReplacer("HEALTH", health, "FREE", free, "DEDUP", dedup).Replace(`printf 'tank\tname\ttank\t-
tank\thealth\tHEALTH\t-
tank\tallocated\tFREE\t-
tank\tsize\tFREE\t-
tank\tfree\tFREE\t-
tank\treadonly\toff\t-
tank\tdedupratio\tDEDUP\t-
tank\tfragmentation\t-\t-
tank\tfreeing\tFREE\t-
tank\tleaked\tFREE\t-
'
`)
}

func TestAdmin_Health(t *testing.T) {
	leak.Check(t)
	for health, script := range map[string]string{
		"ONLINE":    zpoolGet("ONLINE", "1", "1.00"),
		"SUSPENDED": zpoolGet("SUSPENDED", "1", "1.00"),
		"UNAVAIL":   zpoolGet("UNAVAIL", "-", "-"), // has no numbers
	} {
		t.Run("a pool may be "+health, func(t *testing.T) {
			fakePrograms(t, script)
			got, err := NewAdmin().Health(t.Context(), "tank")
			must.NoError(t, err)
			must.Eq(t, health, got)
		})
	}
	t.Run("a pool that is not there has none", func(t *testing.T) {
		fakePrograms(t, "echo \"cannot open 'tank': no such pool\" >&2; exit 1\n")
		_, err := NewAdmin().Health(t.Context(), "tank")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
}

// A call that hangs is reported, and no other is started until it has ended.
func TestAdmin_hangs(t *testing.T) {
	leak.Check(t)
	log := fakePrograms(t, "[ $1 = rollback ] || exit 0\ncat fifo\n")
	fifo := filepath.Join(filepath.Dir(log), "fifo")
	must.NoError(t, syscall.Mkfifo(fifo, 0o600))
	a := NewAdmin()
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(stopped)
	must.ErrorIs(t, a.Rollback(ctx, "tank/a@1"), stopped)
	must.FileNotExists(t, log)

	a.bound, a.grace = time.Millisecond, time.Millisecond
	err := a.Rollback(t.Context(), "tank/a@1")
	must.ErrorContains(t, err, "zfs rollback tank/a@1: not done within 1ms, and still running")
	a.bound = time.Minute
	hung := a.running
	for range 2 {
		err = a.Destroy(t.Context(), "tank/a", false)
		must.ErrorContains(t, err, "zfs destroy tank/a: not started: zfs rollback tank/a@1 has not ended since ")
	}
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the reader
	must.NoError(t, err)
	must.NoError(t, f.Close())
	<-hung.ended
	must.NoError(t, hung.err)
	must.NoError(t, a.Destroy(t.Context(), "tank/a", false))
	text, err := os.ReadFile(log)
	must.NoError(t, err)
	must.Eq(t, "zfs rollback tank/a@1\nzfs destroy tank/a\n", string(text))
}
