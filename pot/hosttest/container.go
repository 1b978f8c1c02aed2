package hosttest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/oci"
	"nomad-driver-pot/image/oci/ocitest"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// container is the name of an image that was a container image.
const container = "container_1_0"

// receiveContainer receives an image that is converted from a container image with the files of
// the suite's image, with that configuration, and destroys it when the test ends. It returns the
// settings that the conversion made.
func receiveContainer(t *testing.T, bed Bed, c v1.Config) conf.New {
	t.Helper()
	dir, err := bed.Host.Datasets.Dir(t.Context(), image)
	must.NoError(t, err)
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	must.NoError(t, w.AddFS(os.DirFS(filepath.Join(dir, "m"))))
	must.NoError(t, w.Close())
	link := func(name, to string) ocitest.File {
		return ocitest.File{Name: name, Header: tar.Header{Typeflag: tar.TypeSymlink, Linkname: to}}
	}
	at := filepath.Join(t.TempDir(), "layout")
	ocitest.WriteLayout(at, "1.0", ocitest.New("freebsd", runtime.GOARCH, c, ocitest.Layer(files.Bytes()),
		ocitest.Layer(ocitest.Archive(link("inside", "/etc"), link("outside", "../../../../../../../../etc")))))
	i, err := oci.Open(t.Context(), "oci:"+at, oci.Options{Platform: "freebsd/" + runtime.GOARCH})
	must.NoError(t, err)
	defer i.Close()
	made, _, err := i.Conf(conf.New{})
	must.NoError(t, err)
	var stream bytes.Buffer
	must.NoError(t, build.Stream(t.Context(), &stream, build.BuildOptions{
		Name: "container", Tag: "1.0", Conf: made, Created: i.Created(),
		Tree: func(ctx context.Context, o zstream.TarOptions) (*zstream.Files, error) { return i.Tree(ctx, o, nil) },
	}))
	must.NoError(t, bed.Host.Images.Receive(t.Context(), container, &stream))
	t.Cleanup(func() { must.NoError(t, bed.Host.Images.Destroy(context.Background(), container)) })
	return made
}

// inContainer is a pot of that image which runs hello with args, or without args the image's
// command.
func inContainer(args ...string) pot.Spec {
	s := spec("contained", args...)
	if s.Image = container; len(args) == 0 {
		s.Command = nil
	}
	return s
}

// testContainer checks that a pot runs as the configuration of its container image says: its
// entrypoint and command, user, working directory and environment, and that a job's own words
// win. The rules are docker's, except that a start never makes a directory: the conversion has.
func testContainer(t *testing.T, bed Bed) {
	made := receiveContainer(t, bed, v1.Config{
		Entrypoint: []string{"/bin/hello"}, Cmd: []string{"id"}, User: "web", WorkingDir: "/srv/app", Env: []string{"GREETING=a b", "PATH=/bin"},
		ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}}, StopSignal: "SIGTERM",
	})
	must.Eq(t, []string{"udp:53", "80"}, made.Ports)
	t.Run("its entrypoint and command run as its user in its directory", func(t *testing.T) {
		tk := start(t, bed, inContainer())
		must.Eq(t, 0, tk.wait(t).Code)
		must.StrContains(t, tk.output(t), "uid 80 gid 80")
		must.StrContains(t, tk.output(t), "cwd /srv/app")
		must.Eq(t, []string{"/bin/hello", "id"}, tk.Argv())
	})
	t.Run("its environment is the command's, and a job's wins", func(t *testing.T) {
		tk := start(t, bed, inContainer("env"), "GREETING=mine")
		tk.wait(t)
		must.Eq(t, "GREETING=mine\nHOME=/nonexistent\nPATH=/bin\nUSER=web\n", tk.output(t))
	})
	// As docker exec does; the record has both, for an agent that is restarted.
	t.Run("a further command of the task runs as its own does", func(t *testing.T) {
		tk := start(t, bed, inContainer("sleep", "1h"))
		again, err := bed.pots().Find("contained")
		must.NoError(t, err)
		must.Eq(t, "web", again.Spec().User)
		must.Eq(t, "/srv/app", again.Spec().WorkDir)
		var out strings.Builder
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "id"}, User: again.Spec().User, WorkDir: again.Spec().WorkDir, Stdout: &out})
		must.NoError(t, err)
		must.Eq(t, 0, exit.Code)
		must.StrContains(t, out.String(), "uid 80 gid 80")
		must.StrContains(t, out.String(), "cwd /srv/app")
	})
	for user, want := range map[string]string{
		"80": "uid 80 gid 80", "0": "uid 0 gid 0", "1234": "uid 1234 gid 0", "1234:5678": "uid 1234 gid 5678",
		"web:nogroup": "uid 80 gid 65533", "80:65533": "uid 80 gid 65533",
	} {
		t.Run("the user "+user+" has these numbers", func(t *testing.T) {
			s := inContainer("id")
			s.User = user
			tk := start(t, bed, s)
			must.Eq(t, 0, tk.wait(t).Code, must.Sprint(tk.output(t)))
			must.StrContains(t, tk.output(t), want)
		})
	}
	// A link is followed in the pot, whose root is the end of all "..".
	for _, dir := range []string{"/inside", "/outside"} {
		t.Run("a working directory that is the link "+dir+" is in the pot", func(t *testing.T) {
			s := inContainer("cat", "motd")
			s.WorkDir = dir
			tk := start(t, bed, s)
			must.Eq(t, 0, tk.wait(t).Code, must.Sprint(tk.output(t)))
			motd, err := os.ReadFile(filepath.Join(tk.Tree(), "etc/motd"))
			must.NoError(t, err)
			must.Eq(t, string(motd), tk.output(t))
		})
	}
}

// testContainerRefused checks that a pot does not start as another user, or elsewhere, than its
// container image says.
func testContainerRefused(t *testing.T, bed Bed) {
	for n, c := range []struct {
		config v1.Config
		remove string
		want   string
	}{
		{v1.Config{User: "nosuch"}, "", `user "nosuch" in the pot`},
		{v1.Config{User: "web:nosuch"}, "", `user "web:nosuch" in the pot`},
		{v1.Config{User: "-1"}, "", `user "-1" in the pot`},
		{v1.Config{User: "99999999999"}, "", `user "99999999999" in the pot`},
		{v1.Config{WorkingDir: "/srv/app"}, "srv/app", "start /bin/hello in /srv/app: one of them is not in the pot"},
	} {
		t.Run(fmt.Sprint("case ", n), func(t *testing.T) {
			c.config.Cmd = []string{"/bin/hello", "exit", "0"}
			receiveContainer(t, bed, c.config)
			p, err := bed.pots().Create(t.Context(), inContainer())
			must.NoError(t, err)
			if c.remove != "" {
				must.NoError(t, os.Remove(filepath.Join(p.Tree(), c.remove)))
			}
			must.ErrorContains(t, p.Start(t.Context(), nil), c.want)
			must.NoError(t, p.Destroy(t.Context()))
		})
	}
}
