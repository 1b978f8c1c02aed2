package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/zstream"
)

// Contents of layers are never held in memory, replaced ones neither.
func TestImage_Tree_memory(t *testing.T) {
	leak.Check(t)
	if testing.Short() {
		t.Skip("writes 200 MiB")
	}
	const mib = 1 << 20
	noise := bytes.Repeat([]byte("noise..."), mib/8)
	archive := func() io.ReadCloser { // of 100 MiB
		r, w := io.Pipe()
		go func() {
			a := tar.NewWriter(w)
			for n := range 10 {
				_ = a.WriteHeader(&tar.Header{Name: fmt.Sprint(n), Typeflag: tar.TypeReg, Size: 10 * mib})
				for range 10 {
					_, _ = a.Write(noise)
				}
			}
			w.CloseWithError(a.Close())
		}()
		return r
	}
	sum, _, err := v1.SHA256(archive())
	must.NoError(t, err)
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before, peak := stats.HeapInuse, uint64(0)
	l := layer{diffID: sum, size: 100 * mib, open: func(context.Context) (io.ReadCloser, error) { return archive(), nil }}
	i := &Image{layers: []layer{l, l}, config: &v1.ConfigFile{}, options: Options{MaxBytes: 1 << 30}}
	seen := int64(0)
	files, err := i.Tree(t.Context(), zstream.TarOptions{Spool: t.TempDir()}, func(done, _ int64) {
		if done-seen > 10*mib {
			seen = done
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapInuse)
		}
	})
	must.NoError(t, err)
	must.NoError(t, files.Close())
	must.Positive(t, peak)
	must.Less(t, before+16*mib, peak)
}
