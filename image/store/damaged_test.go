package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
)

// damagedLabels are datasets of which one has lost its labels.
type damagedLabels struct {
	*imagetest.Datasets
	name string
}

func (d damagedLabels) Labels(ctx context.Context, name string) (map[string]string, error) {
	if name == d.name {
		return nil, fmt.Errorf("labels of %s: %w", name, fs.ErrInvalid)
	}
	return d.Datasets.Labels(ctx, name)
}

// A dataset that has lost its labels may be anybody's: an image of its name is kept beside
// it, and found there again.
func TestStore_Ensure_damagedLabels(t *testing.T) {
	leak.Check(t)
	for name, opts := range map[string]image.PullOptions{"any image": {}, "a digest": {Digest: imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta))}} {
		t.Run(name, func(t *testing.T) {
			b := newRig(t)
			b.datasets.Put("small_1_0", nil)
			images := store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), damagedLabels{b.datasets, "small_1_0"})
			beside := store.Beside(b.small, imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta)))
			for range 2 {
				got, err := images.Ensure(t.Context(), b.small, opts, nil)
				must.NoError(t, err)
				must.Eq(t, beside, got.Name)
			}
			must.Eq(t, 1, b.datasets.Received())
			must.Eq(t, []string{"small_1_0", beside}, b.datasets.Names())
		})
	}
}
