package oci

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/conf"
)

// An image that umoci(1) makes in three layers is the same in all forms that skopeo(1) gives it.
func TestOpen_tools(t *testing.T) {
	leak.Check(t)
	_, err := exec.LookPath("umoci")
	need.Have(t, "umoci", err == nil)
	dir := t.TempDir()
	t.Chdir(dir)
	run := func(args ...string) {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		must.NoError(t, err, must.Sprint(args, string(out)))
	}
	in := func(name string) string { return filepath.Join(dir, "bundle/rootfs", name) }
	write := func(name, content string) {
		t.Helper()
		must.NoError(t, errors.Join(os.MkdirAll(filepath.Dir(in(name)), 0o755), os.WriteFile(in(name), []byte(content), 0o755)))
	}
	layer := func(change func()) {
		t.Helper()
		run("umoci", "unpack", "--rootless", "--image", "web:1.0", "bundle")
		change()
		run("umoci", "repack", "--image", "web:1.0", "bundle")
		must.NoError(t, os.RemoveAll("bundle"))
	}
	run("umoci", "init", "--layout", "web")
	run("umoci", "new", "--image", "web:1.0")
	layer(func() {
		write("bin/web", "program")
		write("etc/old", "old")
		write("usr/lib/a", "a")
		must.NoError(t, errors.Join(os.Link(in("bin/web"), in("bin/again")), os.Symlink("usr/lib", in("lib"))))
	})
	layer(func() {
		must.NoError(t, errors.Join(os.Remove(in("etc/old")), os.Remove(in("lib")), os.RemoveAll(in("usr"))))
		write("lib/b", "b")
		must.NoError(t, os.Link(in("bin/web"), in("lib/web")))
	})
	// Such a layer ends without the blocks of zeros that end an archive.
	must.NoError(t, os.WriteFile("readme", []byte("hi"), 0o644))
	run("umoci", "insert", "--rootless", "--image", "web:1.0", "readme", "/readme")
	run("umoci", "config", "--image", "web:1.0", "--os", "freebsd", "--architecture", "amd64", "--config.entrypoint", "/bin/web",
		"--config.cmd", "a b", "--config.user", "www", "--config.workingdir", "/srv", "--config.exposedports", "80/tcp")
	skopeo := func(to string, flags ...string) {
		t.Helper()
		run(append(append([]string{"skopeo", "--insecure-policy", "copy", "-q"}, flags...), "oci:web:1.0", to)...)
	}
	for _, c := range []struct {
		from string
		to   string // of skopeo; "": as umoci has made it
		flag []string
	}{
		{"oci:web:1.0", "", nil},
		{"oci-archive:web.tar", "oci-archive:web.tar:1.0", nil},
		{"docker-archive:docker.tar:web:1.0", "docker-archive:docker.tar:web:1.0", nil},
		{"oci:zstd:1.0", "oci:zstd:1.0", []string{"--dest-compress-format", "zstd"}},
	} {
		t.Run(c.from, func(t *testing.T) {
			from := c.from
			if c.to != "" {
				_, err := exec.LookPath("skopeo")
				need.Have(t, "skopeo", err == nil)
				skopeo(c.to, c.flag...)
			}
			i := open(t, from, amd64(t))
			got, err := tree(t, i)
			must.NoError(t, err)
			must.Eq(t, "bin/ bin/again=program bin/web=program etc/ lib/ lib/b=b lib/web=program readme=hi srv/", got)
			conf, _, err := i.Conf(conf.New{})
			must.NoError(t, err)
			must.Eq(t, "/bin/web 'a b'", conf.Command)
			must.Eq(t, "www", conf.User)
			must.Eq(t, []string{"80"}, conf.Ports)
		})
	}
}
