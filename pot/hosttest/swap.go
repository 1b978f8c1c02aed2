package hosttest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
)

// swaps is how often a directory is mounted while a link takes its place and leaves it.
const swaps = 100

// testSwappedSource has somebody put a link to what is secret where the source is, again
// and again: what is seen in the tree is the source, or nothing.
func testSwappedSource(t *testing.T, mount func(source, target string) error, root string) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	for name, text := range map[string]string{"mine": "mine", "secret": "secret"} {
		must.NoError(t, os.MkdirAll(filepath.Join(dir, name, "sub"), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(dir, name, "sub/f"), []byte(text), 0o644))
	}
	source, link := filepath.Join(dir, "mine"), filepath.Join(dir, "link")
	must.NoError(t, mount(filepath.Join(source, "sub"), "/swapped/before"))
	must.NoError(t, os.Symlink(filepath.Join(dir, "secret"), link))

	t.Run("a link that stays", func(t *testing.T) {
		for _, at := range []string{"link", "link/sub"} {
			must.ErrorIs(t, mount(filepath.Join(dir, at), "/swapped/stays"), pot.ErrLink)
		}
	})
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				exchange(source, link)
			}
		}
	})
	seen := map[string]int{}
	for i := range swaps {
		target := "/swapped/" + strconv.Itoa(i)
		err := mount(filepath.Join(source, "sub"), target)
		switch text, _ := os.ReadFile(filepath.Join(root, target, "f")); {
		case string(text) == "secret":
			t.Error("the link was followed")
		case err == nil && string(text) != "mine":
			t.Errorf("mounted, and %q is seen", text)
		case err != nil && string(text) != "":
			t.Errorf("%v, and %q is seen", err, text)
		case err != nil && !errors.Is(err, pot.ErrLink) && !errors.Is(err, fs.ErrNotExist):
			t.Error(err)
		default:
			seen[string(text)]++
		}
	}
	close(stop)
	swapper.Wait()
	t.Logf("mounted %d times, refused %d times", seen["mine"], seen[""])
}
