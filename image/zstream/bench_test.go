package zstream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
)

// largeStream returns a stream of 200 directories of 40 files, 190 MB, with file sizes like
// a base system's, made of bare's records. With -short there are 10 directories.
func largeStream(t testing.TB) []byte {
	t.Helper()
	const each = 40
	directories := 200
	if testing.Short() {
		directories = 10
	}
	e := bare(t)
	r := rand.New(rand.NewPCG(5, 6))
	fileObject, dirObject := e[e.index(0, drrObject, passwd)], e[e.index(0, drrObject, varDir)]
	noise := make([]byte, oldMaxBlock)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	top := e[e.index(0, drrWrite, varDir)]
	top.payload = microZAPOf(directories)
	top.setU64(24, uint64(len(top.payload)))
	dirObject.setU32(16, uint32(len(top.payload)))
	dirObject.setEntries(uint64(directories), uint64(directories))
	out, next := e[:len(e)-1:len(e)-1], uint64(1000)
	for d := range directories {
		dir := *dirObject
		dir.payload = bytes.Clone(dir.payload)
		binary.LittleEndian.PutUint64(dir.attribute("ZPL_PARENT"), varDir)
		dir.setEntries(each, 0)
		dir.setU64(0, next)
		names := writeOf(next, 0, typeDirectory, microZAPOf(each))
		dir.setU32(16, uint32(len(names.payload)))
		top.setName(d, fmt.Sprint("directory", d))
		top.setValue(d, direntOf(next, unix.S_IFDIR))
		out = append(out, &dir, names)
		parent := next
		next++
		for i := range each {
			f := *fileObject
			f.payload = bytes.Clone(f.payload)
			f.setU64(0, next)
			size := fileSize(r)
			// A file of at most one record is one block of its size in sectors; the blocks
			// of a larger one are all whole records (zfs_vnops.c, zfs_write; dmu_send.c).
			block := min(oldMaxBlock, (size+sector-1)&^(sector-1))
			f.setU32(16, uint32(block))
			binary.LittleEndian.PutUint64(f.attribute("ZPL_SIZE"), size)
			binary.LittleEndian.PutUint64(f.attribute("ZPL_PARENT"), parent)
			out = append(out, &f)
			for at := uint64(0); at < size; at += block {
				out = append(out, writeOf(next, at, typePlainFile, noise[:block]))
			}
			names.setName(i, fmt.Sprint("file", i))
			names.setValue(i, direntOf(next, unix.S_IFREG))
			next++
		}
	}
	return append(out, e[len(e)-1]).encode()
}

// setEntries sets how many entries a directory has, and how many are directories:
// its size and links count "." and ".." too (zfs_znode_os.c, zfs_mknode; zfs_dir.c,
// zfs_link_create).
func (p *testRecord) setEntries(entries, directories uint64) {
	binary.LittleEndian.PutUint64(p.attribute("ZPL_SIZE"), entries+2)
	binary.LittleEndian.PutUint64(p.attribute("ZPL_LINKS"), directories+2)
}

// microZAPOf is a microzap with room for so many names.
func microZAPOf(names int) []byte {
	p := make([]byte, ((names+1)*64+sector-1)&^(sector-1))
	binary.LittleEndian.PutUint64(p, zapMicroBlock)
	return p
}

// fileSize is one of many small ones, and few of hundreds of kilobytes.
func fileSize(r *rand.Rand) uint64 {
	switch n := r.IntN(100); {
	case n < 60:
		return 1 + r.Uint64N(8<<10)
	case n < 95:
		return 1 + r.Uint64N(40<<10)
	default:
		return 1 + r.Uint64N(400<<10)
	}
}

// BenchmarkExtract extracts a tree, and for each time has tar(1) make the same tree
// on the same file system: x-tar is how many times as long the former takes.
func BenchmarkExtract(b *testing.B) {
	leak.Check(b)
	data, dir := largeStream(b), b.TempDir()
	archive := filepath.Join(dir, "tree.tar")
	extract := func(to string) time.Duration {
		root := openRoot(b, to)
		began := time.Now()
		_, err := Extract(b.Context(), bytes.NewReader(data), root, Options{})
		took := time.Since(began)
		must.NoError(b, err)
		return took
	}
	first := filepath.Join(dir, "first")
	extract(first)
	runTar(b, "-C", first, "-cf", archive, ".")
	must.NoError(b, os.RemoveAll(first))
	b.SetBytes(int64(len(data)))
	var ours, theirs time.Duration
	for b.Loop() {
		b.StopTimer()
		to, other := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
		must.NoError(b, os.Mkdir(other, 0o700))
		began := time.Now()
		runTar(b, "-C", other, "-xpf", archive)
		theirs += time.Since(began)
		b.StartTimer()
		ours += extract(to)
		b.StopTimer()
		must.NoError(b, os.RemoveAll(to))
		must.NoError(b, os.RemoveAll(other))
		b.StartTimer()
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-tar")
}

func runTar(b *testing.B, args ...string) {
	b.Helper()
	out, err := exec.Command("tar", args...).CombinedOutput()
	must.NoError(b, err, must.Sprint(string(out)))
}

// openRoot makes a directory and opens it.
func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	must.NoError(t, os.Mkdir(dir, 0o700))
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, root.Close()) })
	return root
}

// BenchmarkIndex is as BenchmarkExtract, of an index.
func BenchmarkIndex(b *testing.B) {
	leak.Check(b)
	data, dir := largeStream(b), b.TempDir()
	first, archive := filepath.Join(dir, "first"), filepath.Join(dir, "tree.tar")
	_, err := Extract(b.Context(), bytes.NewReader(data), openRoot(b, first), Options{})
	must.NoError(b, err)
	runTar(b, "-C", first, "-cf", archive, ".")
	b.SetBytes(int64(len(data)))
	var ours, theirs time.Duration
	for b.Loop() {
		began := time.Now()
		_, err := Index(b.Context(), bytes.NewReader(data), Options{Scratch: dir}, func(Entry) error { return nil })
		ours += time.Since(began)
		must.NoError(b, err)
		b.StopTimer()
		other := filepath.Join(dir, "theirs")
		must.NoError(b, os.Mkdir(other, 0o700))
		began = time.Now()
		runTar(b, "-C", other, "-xpf", archive)
		theirs += time.Since(began)
		must.NoError(b, os.RemoveAll(other))
		b.StartTimer()
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-tar")
}

func BenchmarkSurvey(b *testing.B) {
	leak.Check(b)
	data := largeStream(b)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		_, err := Survey(b.Context(), bytes.NewReader(data), Options{})
		must.NoError(b, err)
	}
}

// BenchmarkPass is what an import waits for beside the host and the decoder.
func BenchmarkPass(b *testing.B) {
	leak.Check(b)
	data, o := largeStream(b), Options{Scratch: b.TempDir()}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		_, err := CopyVerified(b.Context(), io.Discard, bytes.NewReader(data), o, func(*Stream) error { return nil })
		must.NoError(b, err)
	}
}

func BenchmarkFletcher4(b *testing.B) {
	leak.Check(b)
	block := bytes.Repeat([]byte("0123456789abcdef"), oldMaxBlock/16)
	b.SetBytes(int64(len(block)))
	var sum fletcher4
	for b.Loop() {
		sum.Write(block, byteOrder{})
	}
}
