//go:build linux

package linux_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/bench"
	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot/linux"
)

// importVariable has the test binary import an image and nothing else, so that its memory
// and time can be measured alone.
const importVariable = "POT_BENCH_IMPORT"

// importing is what the child imports.
type importing struct {
	Cache, Dir string
	Ref        image.Ref
	Digest     image.Digest
	Command    string // xz.Options.Command
}

// importAlone verifies, decodes, vets and receives an image that is in the cache.
func importAlone(text string) int {
	var i importing
	err := json.Unmarshal([]byte(text), &i)
	if err == nil {
		err = i.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (i importing) run() error {
	host, err := linux.New(i.Dir, "/nonexistent")
	if err != nil {
		return err
	}
	cache := fetch.NewCache(i.Cache, fetch.Options{Decode: xz.Options{Command: i.Command}})
	_, err = store.NewStore(cache, host.Images).Ensure(context.Background(), i.Ref, image.PullOptions{Digest: i.Digest}, nil)
	return err
}

// BenchmarkImport is the import of an image of a tree of 160 MB that is in the cache,
// from the first byte that is verified to the dataset, against `xz -dc FILE >
// /dev/null` of the same file, one after the other in one run: "xwall" is the share of
// its time, of medians. "xz -dc -T0 | cat" is the least that anything can take which has
// xz decode and looks at what comes of it, without verifying or keeping it. "blocks of
// 24 MiB" is as the shell tool exports.
func BenchmarkImport(b *testing.B) {
	leak.Check(b)
	need.Have(b, "root", os.Geteuid() == 0)
	_, err := exec.LookPath("xz")
	need.Have(b, "xz", err == nil)
	tree := imagetest.Programs(b, bench.Bytes(b, 160<<20))
	for _, block := range []int{8 << 20, 24 << 20} {
		b.Run(fmt.Sprintf("blocks of %d MiB", block>>20), func(b *testing.B) { benchImport(b, tree, block) })
	}
}

func benchImport(b *testing.B, tree string, block int) {
	dir := b.TempDir()
	a, err := build.Build(b.Context(), build.BuildOptions{
		Name: "bench", Tag: "1.0", Dir: dir, From: tree, XZ: xz.WriteOptions{Workers: 2, Block: block},
	})
	must.NoError(b, err)
	file := filepath.Join(dir, "bench_1.0.xz")
	i := importing{Cache: filepath.Join(dir, "cache"), Ref: image.Ref{Source: "file://" + dir, Name: "bench", Tag: "1.0"}, Digest: a.Digest}
	f, err := fetch.NewCache(i.Cache, fetch.Options{}).Fetch(b.Context(), i.Ref, image.PullOptions{Digest: i.Digest}, nil)
	must.NoError(b, err)
	must.NoError(b, f.Close())

	var costs bench.Costs
	n := 0
	shell := func(name, command string) { costs.Run(b, name, exec.Command("sh", "-c", command+" >/dev/null")) }
	round := func() {
		n++
		shell("cat", "exec cat "+file)
		shell("xz -dc", "exec xz -dc "+file)
		shell("xz -dc -T0", "exec xz -dc -T0 "+file)
		shell("xz -dc -T0 | cat", "xz -dc -T0 "+file+" | cat")
		for name, command := range map[string]string{"import": "", "import in Go": "-"} {
			i.Dir, i.Command = filepath.Join(dir, fmt.Sprint(name, n)), command
			text, err := json.Marshal(i)
			must.NoError(b, err)
			// What it makes stays until the end: ext4 is slow to make files where some
			// were removed a moment ago (fs/ext4/ialloc.c, recently_deleted).
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), importVariable+"="+string(text))
			costs.Run(b, name, cmd)
		}
	}
	for b.Loop() {
		for range bench.Rounds() {
			round()
		}
	}
	b.Logf("%d bytes of %d%s", a.Bytes, a.Stream, costs.Table("xz -dc"))
	for name, unit := range map[string]string{"import": "xwall", "import in Go": "go-xwall"} {
		b.ReportMetric(costs.Ratio(name, "xz -dc"), unit)
		b.ReportMetric(float64(costs.Of(name).ResidentBytes>>20), strings.TrimSuffix(unit, "xwall")+"MB-resident")
	}
}
