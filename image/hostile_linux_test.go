package image_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot/linux"
)

// hostilePeak bounds the memory of a process that imports all of the corpus, its
// own share and the making of the images included, in bytes.
const hostilePeak = 256 << 20

// hostileAlone is set where the tests below are all that the process does.
const hostileAlone = "IMAGE_TEST_HOSTILE_ALONE"

// hostileTree is all that there is below a directory: names, modes, sizes.
func hostileTree(dir string) func(t *testing.T) any {
	return func(t *testing.T) any {
		var all []string
		must.NoError(t, filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			size := int64(0)
			if err == nil && info.Mode().IsRegular() {
				size = info.Size()
			}
			all = append(all, fmt.Sprint(name, " ", info.Mode(), " ", size))
			return err
		}))
		return all
	}
}

// The whole corpus, by a real host.
func TestStore_Ensure_hostileHost(t *testing.T) {
	dir := t.TempDir()
	host, err := linux.New(dir, "/bin/true")
	must.NoError(t, err)
	r := newHostileRig(t, host.Images, hostileTree(dir))
	t.Run("streams", func(t *testing.T) { hostileStreams(t, r) })
	t.Run("files", func(t *testing.T) { hostileArtifacts(t, r) })
	if os.Getenv(hostileAlone) != "" {
		must.Less(t, hostilePeak, hostileHighWater(t))
	}
}

// hostileHighWater is the most memory that this process has had, in bytes (proc(5),
// VmHWM in /proc/PID/status).
func hostileHighWater(t *testing.T) int64 {
	status, err := os.ReadFile("/proc/self/status")
	must.NoError(t, err)
	_, line, found := bytes.Cut(status, []byte("\nVmHWM:"))
	must.True(t, found)
	var kib int64
	_, err = fmt.Sscan(string(line), &kib)
	must.NoError(t, err)
	t.Logf("%d MiB at most", kib>>10)
	return kib << 10
}

// The corpus is imported by a process of its own, whose memory has a bound.
func TestStore_Ensure_hostileMemory(t *testing.T) {
	if os.Getenv(hostileAlone) != "" {
		t.Skip("it is this that is measured")
	}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector has memory of its own")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStore_Ensure_hostileHost$", "-test.v")
	cmd.Env = append(os.Environ(), hostileAlone+"=1")
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	must.StrContains(t, string(out), " MiB at most")
	t.Log(string(out[bytes.LastIndex(out, []byte("hostile_linux_test.go")):]))
}
