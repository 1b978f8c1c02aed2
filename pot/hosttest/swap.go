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

	"nomad-driver-pot/pot/tree"
)

// swaps is how many mounts are made while a link replaces the directory and is removed
// again.
const swaps = 100

// testSwappedSource mounts a directory while another goroutine keeps replacing it with a
// link to a secret: the tree shows the directory or nothing. A task whose directory is the
// source of another mount can do so: mount(2) and nmount(2) take a path, and what was
// checked may not be what is mounted.
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

	t.Run("a link that stays is not followed", func(t *testing.T) {
		for _, at := range []string{"link", "link/sub"} {
			must.ErrorIs(t, mount(filepath.Join(dir, at), "/swapped/stays"), tree.ErrLink)
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
		case err != nil && !errors.Is(err, tree.ErrLink) && !errors.Is(err, fs.ErrNotExist):
			t.Error(err)
		default:
			seen[string(text)]++
		}
	}
	close(stop)
	swapper.Wait()
	t.Logf("mounted %d times, refused %d times", seen["mine"], seen[""])
}

// testSwappedTarget mounts in a volume of the pot while another goroutine keeps replacing
// the target with a link to a directory of the host: the host's directory is never covered,
// whether the mount succeeds or not. A volume that two tasks share is writable by one while
// the other is started. Mounted over a directory of the host, the volume would replace,
// say, its /etc.
func testSwappedTarget(t *testing.T, mount func(source, target string) error) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	volume, host, source := filepath.Join(dir, "volume"), filepath.Join(dir, "host"), filepath.Join(dir, "source")
	for file, text := range map[string]string{
		"volume/dir/f": "volume", "volume/dir/x/f": "volume", "host/f": "host", "host/x/f": "host", "source/f": "source",
	} {
		must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
	}
	swapped, link := filepath.Join(volume, "dir"), filepath.Join(volume, "link")
	must.NoError(t, os.Symlink(host, link))
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				exchange(swapped, link)
			}
		}
	})
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for _, file := range []string{"f", "x/f"} {
					if text, err := os.ReadFile(filepath.Join(host, file)); err != nil || string(text) != "host" {
						t.Errorf("on the host %s is %q, %v", file, text, err)
						return
					}
				}
			}
		}
	})
	mounted := 0
	for i := range swaps {
		target := "/volume" + strconv.Itoa(i)
		must.NoError(t, mount(volume, target))
		for _, m := range [][2]string{{source, target + "/dir/x"}, {filepath.Join(source, "f"), target + "/dir/f"}} {
			if mount(m[0], m[1]) == nil {
				mounted++
			}
		}
	}
	close(stop)
	others.Wait()
	t.Logf("mounted %d times, refused %d times", mounted, 2*swaps-mounted)
}
