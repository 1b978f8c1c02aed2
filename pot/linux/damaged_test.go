//go:build linux

package linux

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
)

// states are the sizes that a crash may leave of a file.
var states = map[string]func(int64) int64{
	"empty": func(int64) int64 { return 0 },
	"cut":   func(size int64) int64 { return size / 2 },
}

// damage truncates a file as a crash may.
func damage(t *testing.T, path string, state func(int64) int64) {
	t.Helper()
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.NoError(t, os.Truncate(path, state(info.Size())))
}

// labelled returns a host with an image and a task's clone of it.
func labelled(t *testing.T) datasets {
	t.Helper()
	need.Have(t, "root", os.Geteuid() == 0)
	d := datasets{dir: t.TempDir()}
	must.NoError(t, d.Receive(t.Context(), "hello", hello()))
	must.NoError(t, d.SetLabels(t.Context(), "hello", map[string]string{conf.LabelRef: "of hello"}))
	_, err := d.Clone(t.Context(), pot.Clone{Origin: "hello", Name: "web", Labels: map[string]string{conf.LabelTask: "of web"}})
	must.NoError(t, err)
	t.Cleanup(func() {
		must.NoError(t, d.Destroy(context.Background(), "web"))
		must.NoError(t, d.Destroy(context.Background(), "hello"))
	})
	return d
}

func hello() io.Reader { return xz.NewReader(bytes.NewReader(imagetest.Hello(""))) }

func TestDatasets_damagedLabels(t *testing.T) {
	leak.Check(t)
	for name, state := range states {
		t.Run("labels in a file that is "+name+" are restored from their copy", func(t *testing.T) {
			d := labelled(t)
			for _, of := range []string{"hello", "web"} {
				damage(t, d.label(of), state)
			}
			labels, err := d.Labels(t.Context(), "hello")
			must.NoError(t, err)
			must.Eq(t, map[string]string{conf.LabelRef: "of hello"}, labels)
			labels, err = d.Labels(t.Context(), "web")
			must.NoError(t, err)
			must.Eq(t, map[string]string{conf.LabelTask: "of web"}, labels)
			idle, err := d.Idle(t.Context(), conf.LabelRef)
			must.NoError(t, err)
			must.SliceEmpty(t, idle) // it has a clone
			must.ErrorContains(t, d.Destroy(t.Context(), "hello"), "has dependent clones: web")
		})
		t.Run("a file that is "+name+" and has no copy is an error, and its dataset can be destroyed", func(t *testing.T) {
			d := labelled(t)
			for _, of := range []string{"hello", "web"} {
				damage(t, d.label(of), state)
				must.NoError(t, unix.Removexattr(d.path(of), labelXattr))
			}
			_, err := d.Labels(t.Context(), "web")
			must.ErrorIs(t, err, fs.ErrInvalid)
			must.ErrorContains(t, d.Destroy(t.Context(), "hello"), "has dependent clones: web") // the mount says so
			must.NoError(t, d.SetLabels(t.Context(), "hello", map[string]string{"a": "anew"}))
			labels, err := d.Labels(t.Context(), "hello")
			must.NoError(t, err)
			must.Eq(t, map[string]string{"a": "anew"}, labels)
			must.NoError(t, d.Destroy(t.Context(), "web"))
			must.NoError(t, d.Destroy(t.Context(), "hello"))
		})
	}
}

func TestJails_damaged(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	program := hosttest.Build(t, "nomad-driver-pot/pot/supervise/pot-supervisor")
	for name, state := range states {
		t.Run("a jail whose file is "+name+" is found by its first process", func(t *testing.T) {
			d := labelled(t)
			host, err := New(d.dir, program)
			must.NoError(t, err)
			file := filepath.Join(d.dir, "host", "jails", "web")
			must.NoError(t, host.Jails.Create(t.Context(), pot.Jail{Name: "web", Root: filepath.Join(d.path("web"), "m"), Hostname: "web", Network: pot.NoNetwork}))
			before, err := host.Jails.Find(t.Context(), "web")
			must.NoError(t, err)
			damage(t, file, state)
			after, err := host.Jails.Find(t.Context(), "web")
			must.NoError(t, err)
			must.Eq(t, before, after)
			damage(t, file, state)
			must.NoError(t, host.Jails.Remove(t.Context(), "web"))
			must.FileNotExists(t, file)
			awaitGone(t, before.ID)
		})
		t.Run("a shared network whose file is "+name+" is found by its first process", func(t *testing.T) {
			dir := t.TempDir()
			host, err := New(dir, program)
			must.NoError(t, err)
			root := filepath.Join(dir, "pots", "group", "m")
			must.NoError(t, os.MkdirAll(root, 0o755))
			must.NoError(t, host.Jails.Create(t.Context(), pot.Jail{Name: "group", Root: root, Hostname: "group", Network: pot.NoNetwork, Bare: true}))
			before, err := host.Jails.Find(t.Context(), "group")
			must.NoError(t, err)
			damage(t, filepath.Join(dir, "host", "jails", "group"), state)
			after, err := host.Jails.Find(t.Context(), "group")
			must.NoError(t, err)
			must.Eq(t, before, after)
			must.NoError(t, host.Jails.Remove(t.Context(), "group"))
			awaitGone(t, before.ID)
		})
		t.Run("a file that is "+name+" does not bring back a jail that has ended", func(t *testing.T) {
			d := labelled(t)
			host, err := New(d.dir, program)
			must.NoError(t, err)
			file := filepath.Join(d.dir, "host", "jails", "web")
			jail := pot.Jail{Name: "web", Root: filepath.Join(d.path("web"), "m"), Hostname: "web", Network: pot.NoNetwork}
			must.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
			must.NoError(t, os.WriteFile(file, []byte(`{"id":1234}`), 0o600))
			damage(t, file, state)
			_, err = host.Jails.Find(t.Context(), "web")
			must.ErrorIs(t, err, fs.ErrNotExist)
			must.NoError(t, host.Jails.Create(t.Context(), jail))
			must.NoError(t, host.Jails.Remove(t.Context(), "web"))
		})
	}
}

// awaitGone waits for the end of a first process. Killed, it is this process's zombie until
// Create's goroutine has waited for it.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for err, deadline := error(nil), time.Now().Add(10*time.Second); err == nil; time.Sleep(time.Millisecond) {
		_, err = os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
		must.True(t, time.Now().Before(deadline), must.Sprint("the first process still exists"))
	}
}
