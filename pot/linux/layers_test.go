//go:build linux

package linux_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/pot/linux"
)

// layers are images that FreeBSD 14.2 made, each with the one before it as its origin.
var layers = []struct{ name, tag, meta string }{
	{"fxsmall", "1.0", "-\n"},
	{"fxchild", "2.0", "fxsmall:1.0@1795391932\n"},
	{"fxgrand", "3.1.4", "fxchild:2.0@1795392050\n"},
}

func layerFile(t *testing.T, i int) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../image/zstream/testdata", layers[i].name+"_"+layers[i].tag+".xz"))
	must.NoError(t, err)
	return b
}

// tree is what is in a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	must.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case info.Mode().IsRegular() && info.Size() > 16<<20: // of holes
			what += fmt.Sprint(" ", info.Size())
		case info.Mode().IsRegular():
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %x", sha256.Sum256(b))
		}
		rel, err := filepath.Rel(dir, name)
		got[rel] = what
		return err
	}))
	return got
}

// Importing an image imports its origins first, each once, however many callers ask for any
// of them.
func TestLayers(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	leak.Check(t)
	server := imagetest.NewServer(t)
	for i, l := range layers {
		server.Add(l.name, l.tag, layerFile(t, i), l.meta)
	}
	host, err := linux.New(t.TempDir(), "/nonexistent")
	must.NoError(t, err)
	store := store.NewStore(fetch.NewCache(t.TempDir(), fetch.Options{}), host.Images)
	var asked sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		l := layers[2-i%3]
		asked.Go(func() {
			_, errs[i] = store.Ensure(t.Context(), image.Ref{Source: server.URL, Name: l.name, Tag: l.tag}, image.PullOptions{}, nil)
		})
	}
	asked.Wait()
	for _, err := range errs {
		must.NoError(t, err)
	}
	names, err := host.Images.List(t.Context(), "")
	must.NoError(t, err)
	must.Eq(t, []string{"fxchild_2_0", "fxgrand_3_1_4", "fxsmall_1_0"}, names)

	var below []io.Reader
	for i := range layers {
		dir, err := host.Datasets.Dir(t.Context(), names[[]int{2, 0, 1}[i]])
		must.NoError(t, err)
		want := t.TempDir()
		root, err := os.OpenRoot(want)
		must.NoError(t, err)
		origins := append([]io.Reader(nil), below...)
		for n := range origins {
			origins[n] = xz.NewReader(bytes.NewReader(layerFile(t, n)))
		}
		_, err = zstream.Extract(t.Context(), xz.NewReader(bytes.NewReader(layerFile(t, i))), root, zstream.Options{Origins: origins})
		must.NoError(t, err)
		must.NoError(t, root.Close())
		must.Eq(t, tree(t, want), tree(t, dir))
		below = append(below, nil)
	}
}

// An image whose .meta names a wrong origin is refused, and nothing of it is left.
func TestLayers_refused(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	for name, c := range map[string]struct {
		of, meta string
		below    int
		want     string
	}{
		"another image":     {"other", "other:1.0@1\n", 2, "what it is incremental from is not there"},
		"two on each other": {"fxsmall", "fxsmall:1.0@1\n", -1, "layered on itself, or on more than 16 images: fxchild_2_0 on fxsmall_1_0 on fxchild_2_0"},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			server := imagetest.NewServer(t)
			server.Add("fxchild", "2.0", layerFile(t, 1), c.meta)
			if c.below < 0 {
				server.Add(c.of, "1.0", layerFile(t, 0), "fxchild:2.0@1\n")
			} else {
				server.Add(c.of, "1.0", imagetest.XZ(imagetest.Stream("other")), "-\n")
			}
			dir := t.TempDir()
			host, err := linux.New(dir, "/nonexistent")
			must.NoError(t, err)
			store := store.NewStore(fetch.NewCache(t.TempDir(), fetch.Options{}), host.Images)
			_, err = store.Ensure(t.Context(), image.Ref{Source: server.URL, Name: "fxchild", Tag: "2.0"}, image.PullOptions{}, nil)
			must.ErrorContains(t, err, c.want)
			must.False(t, image.Retryable(err))
			names, err := host.Images.List(t.Context(), "fxchild")
			must.NoError(t, err)
			must.SliceEmpty(t, names)
			names, err = host.Images.List(t.Context(), "_")
			must.NoError(t, err)
			must.SliceEmpty(t, names)
		})
	}
}
