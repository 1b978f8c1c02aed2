package freebsd

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/pot"
)

// Local properties decide what a dataset is to a store of images.
func TestStore_images(t *testing.T) {
	leak.Check(t)
	digest := "skein1024:" + strings.TrimSpace(string(imagetest.Hello(".skein")))
	const name = imagetest.HelloName + "_1_0"
	server, mirror := imagetest.NewServer(t), imagetest.NewServer(t)
	ref := image.Ref{Source: server.URL, Name: imagetest.HelloName, Tag: imagetest.HelloTag}
	moved := ref
	moved.Source = mirror.URL
	open := func(t *testing.T) (*model, pot.Host, *store.Store) {
		m := newModel(t)
		h, _ := m.host(t)
		return m, h, store.NewStore(fetch.NewCache(t.TempDir(), fetch.Options{}), h.Images)
	}

	t.Run("a task's clone is no image, whatever is allowed", func(t *testing.T) {
		_, h, images := open(t)
		_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "web_1_0", Name: name, Labels: map[string]string{conf.LabelTask: "x"}})
		must.NoError(t, err)
		_, err = images.Ensure(t.Context(), ref, image.PullOptions{Local: true}, nil)
		must.ErrorIs(t, err, store.ErrNotImage)
		must.ErrorContains(t, err, "it is the pot of a task")
	})
	t.Run("labels that came with a stream do not count", func(t *testing.T) {
		m, h, images := open(t)
		must.NoError(t, h.Images.Receive(t.Context(), name, treeRoot(7).reader()))
		m.datasets["tank/pot/jails/"+name].received = map[string]string{store.LabelRef: ref.String(), store.LabelDigest: digest}
		_, err := images.Ensure(t.Context(), ref, image.PullOptions{}, nil)
		must.ErrorIs(t, err, store.ErrNotImage)
		got, err := images.Ensure(t.Context(), ref, image.PullOptions{Local: true}, nil)
		must.NoError(t, err)
		must.Eq(t, store.Imported{Name: name}, got)
	})
	t.Run("an image is the same from another server, and known from then on", func(t *testing.T) {
		_, h, images := open(t)
		must.NoError(t, h.Images.Receive(t.Context(), name, treeRoot(7).reader()))
		must.NoError(t, h.Images.SetLabels(t.Context(), name, map[string]string{store.LabelRef: ref.String(), store.LabelDigest: digest}))
		for range 2 {
			got, err := images.Ensure(t.Context(), moved, image.PullOptions{}, nil)
			must.NoError(t, err)
			must.Eq(t, digest, got.Digest.String())
			must.Eq(t, name, got.Name)
		}
		must.Eq(t, 1, mirror.Gets(ref.File()+".skein"))
		must.Eq(t, 0, mirror.Gets(ref.File()))
	})
	t.Run("an image that needed credentials is not given to a client that knows its digest", func(t *testing.T) {
		_, h, images := open(t)
		must.NoError(t, h.Images.Receive(t.Context(), name, treeRoot(7).reader()))
		must.NoError(t, h.Images.SetLabels(t.Context(), name, map[string]string{
			store.LabelRef: ref.String(), store.LabelDigest: digest, store.LabelLogin: "required",
		}))
		mirror.Remove(ref.File())
		_, err := images.Ensure(t.Context(), moved, image.PullOptions{}, nil)
		must.ErrorContains(t, err, "404 Not Found")
	})
	t.Run("a pot that was an image is none, unless pots of this host are images", func(t *testing.T) {
		_, h, images := open(t)
		must.NoError(t, h.Images.Receive(t.Context(), name, treeRoot(7).reader()))
		labels := map[string]string{store.LabelRef: ref.String(), store.LabelDigest: digest, store.LabelReceived: digest + " 7 3ef"}
		must.NoError(t, h.Images.SetLabels(t.Context(), name, labels))
		must.NoError(t, h.Images.SetLabels(t.Context(), name, map[string]string{store.LabelRef: "", store.LabelDigest: "", store.LabelSources: ""}))
		_, err := images.Ensure(t.Context(), ref, image.PullOptions{}, nil)
		must.ErrorIs(t, err, store.ErrNotImage)
		got, err := images.Ensure(t.Context(), ref, image.PullOptions{Local: true}, nil)
		must.NoError(t, err)
		must.Eq(t, store.Imported{Name: name}, got)
	})
}
