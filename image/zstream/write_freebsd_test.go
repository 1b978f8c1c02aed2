package zstream

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/e2e/need"
)

// zfs runs a command of ZFS, with a stream or without.
func zfs(t testing.TB, stdin []byte, argv ...string) []byte {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	must.NoError(t, err, must.Sprintf("%v: %s", argv, stderr.String()))
	return out
}

// TestWrite_received has the kernel receive what is written, mount it and go on
// with it, and holds it to what it was made from.
func TestWrite_received(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", asRoot)
	_, err := exec.LookPath("zfs")
	need.Have(t, "zfs", err == nil)
	root, remove, err := machine.Scratch(t.TempDir())
	must.NoError(t, err)
	defer func() { must.NoError(t, remove()) }()

	src := t.TempDir()
	makeSpecialFiles(t, src)
	lists := []string{"micro", "fat", "external"}
	for i, n := range []int{50, 3_000, 32_000} {
		dir := filepath.Join(src, lists[i])
		must.NoError(t, os.Mkdir(dir, 0o755))
		for j := range n {
			name := fmt.Sprint(j)
			if i == 2 {
				name = fmt.Sprintf("%0250d", j)
			}
			must.NoError(t, os.Symlink("x", filepath.Join(dir, name)))
		}
	}
	for mode := range 0o1000 {
		at := filepath.Join(src, "micro", fmt.Sprintf("mode%o", mode))
		must.NoError(t, os.WriteFile(at, []byte("x"), 0o600))
		must.NoError(t, os.Chmod(at, os.FileMode(mode)))
	}
	must.NoError(t, unix.Setxattr(filepath.Join(src, "dir"), "user.small", []byte("v"), 0))
	must.NoError(t, unix.Setxattr(filepath.Join(src, "block"), "user.large", bytes.Repeat([]byte("v"), 9000), 0))

	top := root + "/web"
	zfs(t, writeStream(t, filesOfDir(t, src)), "zfs", "receive", "-u", "-x", "mountpoint", top)
	zfs(t, nil, "zfs", "mount", top)
	zfs(t, nil, "zfs", "mount", top+"/m")
	at := strings.TrimSpace(string(zfs(t, nil, "zfs", "get", "-Hp", "-o", "value", "mountpoint", top+"/m")))
	mustBeSameTree(t, src, at)
	for path, want := range map[string]string{"dir": "v", "block": strings.Repeat("v", 9000)} {
		value := make([]byte, 10_000)
		name := map[bool]string{true: "user.small", false: "user.large"}[path == "dir"]
		n, err := unix.Getxattr(filepath.Join(at, path), name, value)
		must.NoError(t, err)
		must.Eq(t, want, string(value[:n]))
	}

	for _, list := range lists { // a quarter goes, and as many come
		dir := filepath.Join(at, list)
		names, err := os.ReadDir(dir)
		must.NoError(t, err)
		for i, e := range names[:len(names)/4] {
			must.NoError(t, os.Remove(filepath.Join(dir, e.Name())))
			must.NoError(t, os.Symlink("y", filepath.Join(dir, fmt.Sprintf("new%0200d", i))))
		}
	}
	must.NoError(t, os.WriteFile(filepath.Join(at, "block and one"), []byte("shorter"), 0))
	must.NoError(t, os.Rename(filepath.Join(at, "long link"), filepath.Join(at, "dir/moved")))
	must.NoError(t, os.Truncate(filepath.Join(at, "bytes512"), 1<<20))

	zfs(t, nil, "zpool", "scrub", "-w", strings.Split(root, "/")[0])
	must.StrContains(t, string(zfs(t, nil, "zpool", "status", strings.Split(root, "/")[0])), "No known data errors")
	zfs(t, nil, "zfs", "snapshot", top+"/m@two")
	dir, _, err := extract(t, zfs(t, nil, "zfs", "send", top+"/m@two"), Options{})
	must.NoError(t, err)
	mustBeSameTree(t, at, dir)
}
