package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
)

// builtName is the image of TestDriver_builtImage.
const builtName = "rebuilt"

// build makes an image with the files of the real one, and another /etc/motd, and
// has the server serve it.
func (b *bed) build(t *testing.T, motd string, conf image.PotConf) image.Artifacts {
	t.Helper()
	a, err := image.Build(t.Context(), image.BuildOptions{
		Name: builtName, Tag: "1.0", Dir: t.TempDir(), From: helloTree(t, motd), Conf: conf,
	})
	must.NoError(t, err)
	b.serve(t, a)
	return a
}

// serve has the server serve an image's files.
func (b *bed) serve(t *testing.T, a image.Artifacts) {
	t.Helper()
	for _, path := range []string{a.XZ, a.Meta, a.Skein} {
		data, err := os.ReadFile(path)
		must.NoError(t, err)
		b.server.Put(filepath.Base(path), data)
	}
}

// TestDriver_builtImage runs what was built here, as any other image.
func TestDriver_builtImage(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	a := b.build(t, "made anew\n", image.PotConf{
		Base: "14.2", Command: "/bin/hello env", Env: []string{`GREETING="hi" there`},
	})
	config := fmt.Sprintf("pot = %q\ndigest = %q\nnetwork_mode = \"none\"", builtName, a.Digest)

	t.Run("its own command, in its own environment", func(t *testing.T) {
		cfg := b.task(t, config)
		b.start(t, cfg)
		must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
		says(t, cfg, "GREETING=\"hi\" there\n")
	})
	t.Run("its own files", func(t *testing.T) {
		cfg := b.task(t, config, "cat", "/etc/motd")
		b.start(t, cfg)
		must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
		says(t, cfg, "made anew\n")
	})
	t.Run("its exit code", func(t *testing.T) {
		cfg := b.task(t, config, "exit", "3")
		b.start(t, cfg)
		must.Eq(t, 3, b.wait(t, cfg.ID).ExitCode)
	})
	t.Run("it was fetched once", func(t *testing.T) {
		must.Eq(t, 1, b.server.Gets(builtName+"_1.0.xz"))
	})
}
