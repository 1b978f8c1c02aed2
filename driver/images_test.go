package driver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/pot"
)

// destroysAtEnd destroys the images of those names, and those beside them, after the tasks
// that are made from now on.
func (b *bed) destroysAtEnd(names ...string) {
	images := b.driver.current().pots.Host().Images
	b.t.Cleanup(func() {
		for _, name := range names {
			all, err := images.List(context.Background(), name)
			must.NoError(b.t, err)
			for _, one := range all {
				if one == name || strings.HasPrefix(one, name+"-") {
					must.NoError(b.t, images.Destroy(context.Background(), one))
				}
			}
		}
	})
}

// A task's clone, and an operator's pot, are no images.
func TestDriver_StartTask_notImage(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	back := b.driver.current()
	b.destroysAtEnd("byhand_1_0")
	stream := xz.NewReader(bytes.NewReader(imagetest.Hello("")))
	must.NoError(t, back.pots.Host().Images.Receive(t.Context(), "byhand_1_0", stream))

	other := b.task(t, `network_mode = "none"`, "sleep", "1h")
	b.start(t, other)
	name, rest, _ := strings.Cut(string(TaskID(other.ID).PotName()), "_")
	refuse := func(t *testing.T, config, want string) {
		t.Helper()
		cfg := b.task(t, config+"\nnetwork_mode = \"none\"", "sleep", "1h")
		_, _, err := b.StartTask(cfg)
		must.ErrorContains(t, err, want)
		must.False(t, structs.IsRecoverable(err))
	}
	clone := fmt.Sprintf("pot = %q\ntag = %q", name, rest)
	byHand := "pot = \"byhand\"\ntag = \"1.0\""
	refuse(t, clone, "cannot start task: use image "+name+"_"+rest+": it is the pot of a task, and is not an image")
	refuse(t, byHand, "cannot start task: use image byhand_1_0: it is a pot of this host, and is not an image")

	b.config += "\nallow_local_images = true"
	b.open(t)
	must.NoError(t, back.pots.Host().Images.SetLabels(t.Context(), name+"_"+rest, map[string]string{labelAlloc: "", labelTask: ""}))
	refuse(t, clone, "it is a pot that is running on this client")
	must.NoError(t, back.pots.Host().Images.SetLabels(t.Context(), name+"_"+rest, map[string]string{labelAlloc: other.AllocID, labelTask: other.ID}))
	cfg := b.task(t, byHand+"\nnetwork_mode = \"none\"", "sleep", "1h")
	b.start(t, cfg)
	must.StrContains(t, b.exec(t, cfg.ID, "id"), "pid")
}

// An image that the command line has imported starts, until the pot is changed.
func TestDriver_StartTask_importedByHand(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	back := b.driver.current()
	b.destroysAtEnd(imagetest.HelloName + "_1_0")
	ref := image.Ref{Source: b.server.URL, Name: imagetest.HelloName, Tag: imagetest.HelloTag}
	_, err := back.images.Ensure(t.Context(), ref, image.Terms{Own: true}, nil)
	must.NoError(t, err)
	must.NoError(t, back.pots.Host().Images.SetLabels(t.Context(), ref.Dataset(), map[string]string{image.LabelImported: ref.String()}))
	b.start(t, b.task(t, `network_mode = "none"`, "sleep", "1h"))
	must.Eq(t, 1, b.server.Gets(ref.File()))

	s, err := pot.OpenSettings(t.Context(), back.pots.Host(), pot.Name(ref.Dataset()))
	must.NoError(t, err)
	must.NoError(t, s.Set(t.Context(), pot.SetCmd{Command: "/bin/hello env"}))
	_, _, err = b.StartTask(b.task(t, `network_mode = "none"`, "sleep", "1h"))
	must.ErrorContains(t, err, "imported by hand and may have been changed since, and is not an image any more")
}

// helloTree returns a directory with the files of the real image, but for its /etc/motd.
func helloTree(t *testing.T, motd string) string {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	defer root.Close()
	_, err = zstream.Extract(t.Context(), xz.NewReader(bytes.NewReader(imagetest.Hello(""))), root, zstream.Options{})
	must.NoError(t, err)
	must.NoError(t, root.WriteFile("m/etc/motd", []byte(motd), 0o644))
	return filepath.Join(dir, "m")
}

// buildOn has a server serve the real image's files, with another /etc/motd, by its name.
func buildOn(t *testing.T, server *imagetest.Server, motd string) {
	t.Helper()
	a, err := image.Build(t.Context(), image.BuildOptions{
		Name: imagetest.HelloName, Tag: imagetest.HelloTag, Dir: t.TempDir(), From: helloTree(t, motd),
		Conf: image.PotConf{Base: "14.2"},
	})
	must.NoError(t, err)
	for _, path := range []string{a.XZ, a.Meta, a.Skein} {
		data, err := os.ReadFile(path)
		must.NoError(t, err)
		server.Put(filepath.Base(path), data)
	}
}

// One name and tag of several servers: each job has what its server serves, and a task
// that runs is left alone.
func TestDriver_StartTask_moved(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	b.destroysAtEnd(imagetest.HelloName + "_1_0")
	first := b.task(t, `network_mode = "none"`, "sleep", "1h")
	b.start(t, first)
	moved, others := imagetest.NewServer(t), imagetest.NewServer(t)
	buildOn(t, others, "of another server\n")
	for _, config := range []string{"", "\nforce_pull = true"} {
		same := b.task(t, fmt.Sprintf("image = %q\nnetwork_mode = \"none\"", moved.URL)+config, "sleep", "1h")
		b.start(t, same)
		other := b.task(t, fmt.Sprintf("image = %q\nnetwork_mode = \"none\"", others.URL)+config, "sleep", "1h")
		b.start(t, other)
		must.Eq(t, "of another server\n", b.exec(t, other.ID, "cat", "/etc/motd"))
		for _, cfg := range []string{first.ID, same.ID} {
			must.NotEq(t, "of another server\n", b.exec(t, cfg, "cat", "/etc/motd"))
		}
	}
	must.Eq(t, 0, moved.Gets(imagetest.HelloName+"_1.0.xz"))
	must.Eq(t, 1, others.Gets(imagetest.HelloName+"_1.0.xz"))
}

// An image that was pulled with credentials is for those whose server gives it, also when
// the plugin that pulled it is gone.
func TestDriver_StartTask_private(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	b.server.Guard(func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer t" })
	digests := imagetest.NewServer(t)
	digests.Remove(imagetest.HelloName + "_1.0.xz")
	whole := imagetest.NewServer(t)
	const auth = "\nnetwork_mode = \"none\"\nauth { token = \"t\" }"
	b.start(t, b.task(t, auth, "sleep", "1h"))
	pinned := fmt.Sprintf("\ndigest = \"skein1024:%s\"", bytes.TrimSpace(imagetest.Hello(".skein")))
	for _, restarted := range []bool{false, true} {
		if restarted {
			b.open(t)
		}
		for _, more := range []string{"\nnetwork_mode = \"none\"", "\nnetwork_mode = \"none\"" + pinned, auth, auth + pinned} {
			_, _, err := b.StartTask(b.task(t, fmt.Sprintf("image = %q", digests.URL)+more, "sleep", "1h"))
			must.ErrorContains(t, err, "/"+imagetest.HelloName+"_1.0.xz: 404 Not Found")
			b.start(t, b.task(t, fmt.Sprintf("image = %q", whole.URL)+more, "sleep", "1h"))
			if strings.HasPrefix(more, auth) {
				b.start(t, b.task(t, more, "sleep", "1h"))
				continue
			}
			_, _, err = b.StartTask(b.task(t, more, "sleep", "1h"))
			must.ErrorContains(t, err, "401 Unauthorized")
		}
	}
}
