//go:build linux || freebsd

package image_test

import (
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot/hosttest/leak"
)

// The whole corpus, by a host of this machine.
func TestStore_Ensure_hostileHost(t *testing.T) {
	leak.Check(t)
	place := newHostPlace(t)
	r := newHostileRig(t, place.open(t).Images, place.state)
	t.Run("streams", func(t *testing.T) { hostileStreams(t, r) })
	t.Run("files", func(t *testing.T) { hostileArtifacts(t, r) })
}

// hostilePeak bounds the memory of a process that imports all of the corpus, its
// own share and the making of the images included, in KiB.
const hostilePeak = 256 << 10

// The corpus is imported by a process of its own, whose memory has a bound.
func TestStore_Ensure_hostileMemory(t *testing.T) {
	leak.Check(t)
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector has memory of its own")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStore_Ensure_hostileHost$", "-test.v")
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	must.StrContains(t, string(out), "--- PASS: TestStore_Ensure_hostileHost")
	peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // getrusage(2): KiB, of the largest child
	t.Logf("%d MiB at most", peak>>10)
	must.Less(t, hostilePeak, peak)
}
