package build_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/bench"
	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/imagetest"
)

// BenchmarkBuild is Build against `tar -c | xz -T0 -6` of the same tree, one
// after the other: "xtar" is the share of the time, "xsize" of the bytes. Both
// have all cores.
func BenchmarkBuild(b *testing.B) {
	leak.Check(b)
	for _, program := range []string{"tar", "xz"} {
		_, err := exec.LookPath(program)
		need.Have(b, program, err == nil)
	}
	tree := imagetest.Programs(b, bench.Bytes(b, 100<<20))
	for name, command := range map[string]string{"xz": "", "go": "-"} {
		b.Run(name, func(b *testing.B) {
			var ours, theirs time.Duration
			var bytes, tarBytes int64
			for b.Loop() {
				start := time.Now()
				tarBytes = tarXZ(b, tree)
				theirs += time.Since(start)
				start = time.Now()
				o := buildOptions(b, tree)
				o.XZ.Command = command
				a, err := build.Build(b.Context(), o)
				must.NoError(b, err)
				bytes = a.Bytes
				ours += time.Since(start)
			}
			b.ReportMetric(float64(ours)/float64(theirs), "xtar")
			b.ReportMetric(float64(bytes)/float64(tarBytes), "xsize")
		})
	}
}

// tarXZ is how many bytes tar and xz(1) make of a tree.
func tarXZ(b *testing.B, tree string) int64 {
	b.Helper()
	path := filepath.Join(b.TempDir(), "tree.txz")
	out, err := os.Create(path)
	must.NoError(b, err)
	defer out.Close()
	r, w := io.Pipe()
	tar := exec.Command("tar", "-C", tree, "-c", ".")
	tar.Stdout = w
	xz := exec.Command("xz", "-T0", "-6")
	xz.Stdin, xz.Stdout = r, out
	must.NoError(b, xz.Start())
	must.NoError(b, tar.Run())
	must.NoError(b, w.Close())
	must.NoError(b, xz.Wait())
	info, err := out.Stat()
	must.NoError(b, err)
	return info.Size()
}
