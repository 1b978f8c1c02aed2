//go:build linux || freebsd

package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
)

// hostilePeak bounds the memory of a process that imports all of the corpus, in KiB.
const hostilePeak = 64 << 10

// What the process that imports is told: from where, and how many there are.
const (
	hostileSource = "IMAGE_TEST_HOSTILE_SOURCE"
	hostileCount  = "IMAGE_TEST_HOSTILE_COUNT"
)

// The corpus is imported by a process that does nothing else, whose memory has a bound.
func TestStore_Ensure_hostileMemory(t *testing.T) {
	leak.Check(t)
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector has memory of its own")
	}
	dir := t.TempDir()
	n := hostileFill(t, dir)
	// A shell starts it: on FreeBSD what was resident before execve(2), a fork of all that
	// this process has, counts for its peak.
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `"$@"; exit $?`, "sh", os.Args[0], "-test.run=^TestHostile_child$", "-test.v")
	cmd.Env = append(os.Environ(), hostileSource+"=file://"+dir, hostileCount+"="+strconv.Itoa(n))
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	said := regexp.MustCompile(`(?m)^refused (\d+), (\d+) KiB at most$`).FindSubmatch(out)
	must.Len(t, 3, said, must.Sprint(string(out)))
	must.Eq(t, strconv.Itoa(n), string(said[1]))
	peak, err := strconv.Atoi(string(said[2]))
	must.NoError(t, err)
	t.Logf("%d images, %d MiB at most", n, peak>>10)
	must.Less(t, hostilePeak, peak)
}

// hostileFill puts all of the corpus into a directory, as bad:1 and so on, and is their number.
func hostileFill(t *testing.T, dir string) (n int) {
	add := func(xz, meta, skein []byte) {
		n++
		name := filepath.Join(dir, fmt.Sprintf("bad_%d.xz", n))
		if skein == nil {
			skein = imagetest.Skein(xz, meta)
		}
		for ending, content := range map[string][]byte{"": xz, ".meta": meta, ".skein": skein} {
			must.NoError(t, os.WriteFile(name+ending, content, 0o600))
		}
	}
	none := []byte(imagetest.NoMeta)
	for _, c := range hostileAll() {
		add(imagetest.XZ(c.stream()), none, nil)
	}
	for _, c := range hostileXZ() {
		add(c.xz, c.meta, c.skein)
	}
	add(hostileZeros(), none, nil)
	return n
}

// TestHostile_child is the process that imports; by itself it does nothing.
func TestHostile_child(t *testing.T) {
	leak.Check(t)
	source := os.Getenv(hostileSource)
	if source == "" {
		t.Skip("it is started by another test")
	}
	n, err := strconv.Atoi(os.Getenv(hostileCount))
	must.NoError(t, err)
	cache := fetch.NewCache(t.TempDir(), fetch.Options{MaxTreeBytes: hostileMaxTree})
	store := store.NewStore(cache, newHostPlace(t).open(t).Images)
	for i := range n {
		_, err := store.Ensure(t.Context(), image.Ref{Source: source, Name: "bad", Tag: strconv.Itoa(i + 1)}, anyImage, nil)
		must.Error(t, err)
		must.False(t, image.Retryable(err), must.Sprint(err))
	}
	fmt.Printf("refused %d, %d KiB at most\n", n, peakMemory(t))
}
