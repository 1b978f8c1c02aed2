//go:build linux

package linux_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot/hosttest/need"
	"nomad-driver-pot/pot/linux"
)

// importVariable has the test binary import an image and nothing else, so that what
// it takes can be told from what others take.
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
	cache := image.NewCache(i.Cache, image.Options{Decode: xz.Options{Command: i.Command}})
	_, err = image.NewStore(cache, host.Images).Ensure(context.Background(), i.Ref, image.Terms{Digest: i.Digest}, nil)
	return err
}

// cost is what a command takes, each time that it is run.
type cost struct {
	wall, cpu []time.Duration
	resident  int64 // bytes, of the largest process
}

// median is of several times the one in the middle: one that was disturbed does not count.
func median(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }

// add runs a command.
func (c *cost) add(b *testing.B, env string, argv ...string) {
	b.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	if env != "" {
		cmd.Env = append(os.Environ(), env)
	}
	cmd.Stderr = os.Stderr
	begun := time.Now()
	must.NoError(b, cmd.Run())
	c.wall = append(c.wall, time.Since(begun))
	c.cpu = append(c.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	c.resident = max(c.resident, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
}

// BenchmarkImport is the import of an image of a tree of 160 MB that is in the cache,
// from the first byte that is verified to the dataset, against `xz -dc FILE >
// /dev/null` of the same file, one after the other in one run: "xwall" is the share of
// its time, of medians. "xz -dc -T0 | cat" is the least that anything can take which has
// xz decode and looks at what comes of it, without verifying or keeping it. "blocks of
// 24 MiB" is as the shell tool exports.
func BenchmarkImport(b *testing.B) {
	need.Have(b, "root", os.Geteuid() == 0)
	if _, err := exec.LookPath("xz"); err != nil {
		b.Skip("needs xz")
	}
	tree := imagetest.Programs(b, 160<<20)
	for _, block := range []int{8 << 20, 24 << 20} {
		b.Run(fmt.Sprintf("blocks of %d MiB", block>>20), func(b *testing.B) { benchImport(b, tree, block) })
	}
}

// importRounds is how often each is run, so that medians are of some.
const importRounds = 3

func benchImport(b *testing.B, tree string, block int) {
	dir := b.TempDir()
	a, err := image.Build(b.Context(), image.BuildOptions{
		Name: "bench", Tag: "1.0", Dir: dir, From: tree, XZ: xz.WriteOptions{Workers: 2, Block: block},
	})
	must.NoError(b, err)
	file := filepath.Join(dir, "bench_1.0.xz")
	i := importing{Cache: filepath.Join(dir, "cache"), Ref: image.Ref{Source: "file://" + dir, Name: "bench", Tag: "1.0"}, Digest: a.Digest}
	f, err := image.NewCache(i.Cache, image.Options{}).Fetch(b.Context(), i.Ref, image.Terms{Digest: i.Digest}, nil)
	must.NoError(b, err)
	must.NoError(b, f.Close())

	costs := map[string]*cost{}
	of := func(name string) *cost {
		if costs[name] == nil {
			costs[name] = new(cost)
		}
		return costs[name]
	}
	n := 0
	round := func() {
		n++
		of("cat").add(b, "", "sh", "-c", "exec cat "+file+" >/dev/null")
		of("xz -dc").add(b, "", "sh", "-c", "exec xz -dc "+file+" >/dev/null")
		of("xz -dc -T0").add(b, "", "sh", "-c", "exec xz -dc -T0 "+file+" >/dev/null")
		of("xz -dc -T0 | cat").add(b, "", "sh", "-c", "xz -dc -T0 "+file+" | cat >/dev/null")
		for name, command := range map[string]string{"import": "", "import in Go": "-"} {
			i.Dir, i.Command = filepath.Join(dir, fmt.Sprint(name, n)), command
			text, err := json.Marshal(i)
			must.NoError(b, err)
			// What it makes stays until the end: ext4 is slow to make files where some
			// were removed a moment ago (fs/ext4/ialloc.c, recently_deleted).
			of(name).add(b, importVariable+"="+string(text), os.Args[0])
		}
	}
	for b.Loop() {
		for range importRounds {
			round()
		}
	}
	report(b, costs, a)
}

// report tells all costs, and those of imports as shares.
func report(b *testing.B, costs map[string]*cost, a image.Artifacts) {
	base := costs["xz -dc"]
	var table strings.Builder
	fmt.Fprintf(&table, "%d bytes of %d", a.Bytes, a.Stream)
	for _, name := range slices.Sorted(maps.Keys(costs)) {
		c := costs[name]
		wall, cpu := median(c.wall), median(c.cpu)
		fmt.Fprintf(&table, "\n%-16s wall %5d ms (%.2f)  cpu %5d ms (%.2f)  resident %4d MB", name,
			wall.Milliseconds(), wall.Seconds()/median(base.wall).Seconds(),
			cpu.Milliseconds(), cpu.Seconds()/median(base.cpu).Seconds(), c.resident>>20)
	}
	b.Log(table.String())
	for name, unit := range map[string]string{"import": "xwall", "import in Go": "go-xwall"} {
		b.ReportMetric(median(costs[name].wall).Seconds()/median(base.wall).Seconds(), unit)
		b.ReportMetric(float64(costs[name].resident>>20), strings.TrimSuffix(unit, "xwall")+"MB-resident")
	}
}
