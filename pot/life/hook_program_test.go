package life

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
)

func TestReadHook(t *testing.T) {
	leak.Check(t)
	outside := filepath.Join(t.TempDir(), "o")
	must.NoError(t, os.WriteFile(outside, []byte("#!/bin/sh\n"), 0o755))
	const name = "conf/prestart.sh"
	for _, tc := range []struct {
		name string
		make func(dir string) error
		want string // an error; "": the program is read
	}{
		{"an executable file is read", func(dir string) error { return os.WriteFile(dir+"/"+name, []byte("#!/bin/sh\n"), 0o500) }, ""},
		{"a missing file does not exist", func(dir string) error { return nil }, "no such file"},
		{"a file that is not executable does not exist", func(dir string) error { return os.WriteFile(dir+"/"+name, nil, 0o644) }, "file does not exist"},
		{"a directory is refused", func(dir string) error { return os.Mkdir(dir+"/"+name, 0o755) }, name + ": is not a regular file"},
		{"a fifo is refused", func(dir string) error { return syscall.Mkfifo(dir+"/"+name, 0o755) }, name + ": is not a regular file"},
		{"a link within the image is refused", func(dir string) error {
			return os.Symlink("../m/bin/sh", dir+"/"+name)
		}, name + ": is not a regular file"},
		{"a link out of the image is refused", func(dir string) error { return os.Symlink(outside, dir+"/"+name) }, name + ": is not a regular file"},
		{"a link in the place of conf is refused", func(dir string) error {
			return errors.Join(os.WriteFile(dir+"/m/prestart.sh", nil, 0o755), os.Remove(dir+"/conf"), os.Symlink("m", dir+"/conf"))
		}, "conf: is not a directory"},
		{"a file longer than maxHook is refused", func(dir string) error {
			return os.WriteFile(dir+"/"+name, bytes.Repeat([]byte("#"), maxHook+1), 0o755)
		}, name + ": more than 1048576 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range []string{"m", "conf"} {
				must.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
			}
			must.NoError(t, tc.make(dir))
			root, err := os.OpenRoot(dir)
			must.NoError(t, err)
			defer root.Close()
			got, err := ReadHook(root, conf.PreStart)
			if tc.want == "" {
				must.NoError(t, err)
				must.Eq(t, "#!/bin/sh\n", string(got))
				return
			}
			must.ErrorContains(t, err, tc.want)
		})
	}
}

// A task's pot has copies of the hooks that are allowed, as they were when it was created.
func TestPot_copyHooks(t *testing.T) {
	leak.Check(t)
	jails := t.TempDir()
	image, web := filepath.Join(jails, "image"), filepath.Join(jails, "web")
	for _, dir := range []string{image, web} {
		must.NoError(t, os.MkdirAll(filepath.Join(dir, conf.Dir), 0o755))
	}
	for hook, program := range map[conf.Hook]string{conf.PreStart: "first", conf.PreStop: "third", conf.PostStop: "last"} {
		must.NoError(t, os.WriteFile(filepath.Join(image, hook.File()), []byte(program), 0o755))
	}
	must.NoError(t, os.Symlink("prestart.sh", filepath.Join(image, conf.PostStart.File())))
	p := Open(pot.Host{Datasets: dirsOnly{dir: jails}}, potconf.Config{Dir: t.TempDir()}).pot("web")
	p.record = record{Version: recordVersion, Dir: web, Spec: pot.Spec{Name: "web", Image: "image", Hooks: []conf.Hook{conf.PreStart, conf.PostStart, conf.PostStop}}}
	copied, refused, err := p.copyHooks(t.Context())
	must.NoError(t, err)
	must.Eq(t, []conf.Hook{conf.PreStart, conf.PostStop}, copied)
	must.Eq(t, []conf.Hook{conf.PreStop}, refused)
	must.Eq(t, []string{"poststart of image image: not run: conf/poststart.sh: is not a regular file"}, p.Notes())

	must.NoError(t, os.WriteFile(filepath.Join(image, conf.PreStart.File()), []byte("other"), 0o755))
	for hook, want := range map[conf.Hook]string{conf.PreStart: "first", conf.PostStop: "last"} {
		data, err := os.ReadFile(filepath.Join(p.record.Dir, hook.File()))
		must.NoError(t, err)
		must.Eq(t, want, string(data))
		info, err := os.Stat(filepath.Join(p.record.Dir, hook.File()))
		must.NoError(t, err)
		must.Eq(t, fs.FileMode(0o700), info.Mode())
	}
	for _, hook := range []conf.Hook{conf.PostStart, conf.PreStop} {
		_, err := os.Lstat(filepath.Join(p.record.Dir, hook.File()))
		must.ErrorIs(t, err, fs.ErrNotExist)
	}
}
