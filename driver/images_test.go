package driver

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
)

// A task's pot and an operator's pot are not images.
func TestDriver_StartTask_notImage(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	back := b.driver.current()
	b.destroyAtEnd("byhand_1_0")
	stream := xz.NewReader(bytes.NewReader(imagetest.Hello("")))
	must.NoError(t, back.pots.Host().Images.Receive(t.Context(), "byhand_1_0", stream))

	other := b.sleeper(t)
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

// An image that the command line has imported starts until its pot is changed.
func TestDriver_StartTask_importedByHand(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	back := b.driver.current()
	b.destroyAtEnd(imagetest.HelloName + "_1_0")
	ref := image.Ref{Source: b.server.URL, Name: imagetest.HelloName, Tag: imagetest.HelloTag}
	_, err := back.images.Ensure(t.Context(), ref, image.PullOptions{AsPot: true}, nil)
	must.NoError(t, err)
	must.NoError(t, back.pots.Host().Images.SetLabels(t.Context(), ref.Dataset(), map[string]string{store.LabelImported: ref.String()}))
	b.sleeper(t)
	must.Eq(t, 1, b.server.Gets(ref.File()))

	s, err := local.Open(t.Context(), back.pots.Host(), pot.Name(ref.Dataset()))
	must.NoError(t, err)
	must.NoError(t, s.Apply(t.Context(), local.SetCmd{Command: "/bin/hello env"}))
	_, _, err = b.StartTask(b.task(t, `network_mode = "none"`, "sleep", "1h"))
	must.ErrorContains(t, err, "imported by hand and may have been changed since, and is not an image any more")
}

// Two servers may serve different images of one name and tag. Each job gets the image of
// its server, and running tasks keep theirs.
func TestDriver_StartTask_moved(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	b.destroyAtEnd(imagetest.HelloName + "_1_0")
	first := b.sleeper(t)
	moved, others := imagetest.NewServer(t), imagetest.NewServer(t)
	built(t, others, imagetest.HelloName, "of another server\n", conf.New{Base: "14.2"})
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
	must.Eq(t, 0, moved.Gets(helloXZ))
	must.Eq(t, 1, others.Gets(helloXZ))
}

// An image that was pulled with credentials starts only for jobs whose own server gives
// it to them, also after a restart of the plugin.
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

// An image built by package image runs like any other.
func TestDriver_builtImage(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	a := built(t, b.server, builtName, "made anew\n", conf.New{
		Base: "14.2", Command: "/bin/hello env", Env: []string{`GREETING="hi" there`},
	})
	config := fmt.Sprintf("pot = %q\ndigest = %q\nnetwork_mode = \"none\"", builtName, a.Digest)

	t.Run("it runs the image's command in the image's environment", func(t *testing.T) {
		cfg := b.task(t, config)
		b.start(t, cfg)
		must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
		waitForOutput(t, cfg, "GREETING=\"hi\" there\n")
	})
	t.Run("it has the files that it was built from", func(t *testing.T) {
		cfg := b.task(t, config, "cat", "/etc/motd")
		b.start(t, cfg)
		must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
		waitForOutput(t, cfg, "made anew\n")
	})
	t.Run("the exit code is the command's", func(t *testing.T) {
		cfg := b.task(t, config, "exit", "3")
		b.start(t, cfg)
		must.Eq(t, 3, b.wait(t, cfg.ID).ExitCode)
	})
	t.Run("all of its tasks share one download", func(t *testing.T) {
		must.Eq(t, 1, b.server.Gets(builtName+"_1.0.xz"))
	})
}
