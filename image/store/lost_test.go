package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
)

// Names of imports that the cache has nothing of are taken away when nobody can be at
// work on them, and only then.
func TestStore_lost(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	gone := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	must.NoError(t, gone.Run())
	dead, own := fmt.Sprintf("_import-%d-1", gone.Process.Pid), fmt.Sprintf("_import-%d-1", os.Getpid())
	kept := []string{fmt.Sprintf("_import-%d-1", os.Getppid()), "_import-1", "_import-x-1", "_import--1", "_import-0-1"}
	for _, name := range append([]string{dead, own}, kept...) {
		b.datasets.Put(name, nil)
	}
	var during []string
	b.datasets.Receiving = func(_ context.Context, name string) error {
		during = b.datasets.Names()
		return nil
	}
	_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
	must.NoError(t, err)
	must.SliceContainsAll(t, kept, during)
	must.SliceContainsAll(t, append(kept, "small_1_0"), b.datasets.Names())
}

// Datasets that cannot be looked through are the host's fault, and said to be.
func TestStore_lost_unlisted(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	store := store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), unlisted{b.datasets})
	_, err := store.Ensure(t.Context(), b.small, anyImage, nil)
	must.EqError(t, err, "import "+b.small.String()+": zfs list: no")
	b.nothingMade(t)
}

type unlisted struct{ *imagetest.Datasets }

func (unlisted) List(context.Context, string) ([]string, error) {
	return nil, errors.New("zfs list: no")
}
