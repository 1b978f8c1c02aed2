package zstream

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/mikelolasagasti/xz"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// stream is a fixture that FreeBSD 14.2 made, unpacked.
func stream(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	must.NoError(t, err)
	defer f.Close()
	r, err := xz.NewReader(bufio.NewReader(f), 0)
	must.NoError(t, err)
	data, err := io.ReadAll(r)
	must.NoError(t, err)
	return data
}

// manifestLine is one of a manifest: a file as FreeBSD saw it.
type manifestLine struct {
	Path, Type, Mode, SHA256, Target, Hardlink string
	UID, GID                                   uint32
	Size                                       int64
	Rdev                                       uint64
	MtimeNS                                    int64 `json:"mtime_ns"` // 0: not compared, or not for every file system
}

func manifest(t testing.TB, name string) map[string]manifestLine {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	must.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must.NoError(t, err)
	all := map[string]manifestLine{}
	for d := json.NewDecoder(z); ; {
		var l struct {
			manifestLine
			Raw []byte // a path that is not UTF-8
		}
		err := d.Decode(&l)
		if err == io.EOF {
			return all
		}
		must.NoError(t, err)
		l.Path += string(l.Raw)
		all[l.Path] = l.manifestLine
	}
}

// extract extracts data into a new directory.
func extract(t testing.TB, data []byte, o Options) (string, *Stream, error) {
	t.Helper()
	return extractFrom(t, t.Context(), bytes.NewReader(data), o)
}

func extractFrom(t testing.TB, ctx context.Context, r io.Reader, o Options) (string, *Stream, error) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	t.Cleanup(func() {
		must.NoError(t, removeEntries(root))
		must.NoError(t, root.Close())
	})
	s, err := Extract(ctx, r, root, o)
	if err != nil {
		left, err := os.ReadDir(dir)
		must.NoError(t, err)
		must.SliceEmpty(t, left, must.Sprint("an error leaves nothing behind"))
	}
	return dir, s, err
}

var asRoot = os.Geteuid() == 0

func TestExtract_fixtures(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct {
		image, manifest, tree string
		origin                string
		datasets              int
		warnings              []string
	}{
		{image: "plain_1.0.xz", manifest: "plain.manifest.gz", tree: "m", datasets: 2},
		{image: "plain_1.0-oneblock.xz", manifest: "plain.manifest.gz", tree: "m", datasets: 2},
		{image: "bare-m.xz", manifest: "plain.manifest.gz", tree: ".", datasets: 1},
		{image: "bare-m-incremental.xz", origin: "bare-m.xz", manifest: "bare-m-incremental.manifest.gz", tree: ".", datasets: 1},
		{image: "attrs_1.0.xz", manifest: "attrs.manifest.gz", tree: "m", datasets: 2, warnings: []string{
			"left out: access control lists (of 2 files)",
			"left out: file flags (of 2 files)",
		}},
		{image: "fxsmall_1.0.xz", manifest: "fxsmall.manifest.gz", tree: ".", datasets: 2, warnings: fxWarnings},
		{image: "fxrs1mL_1.0.xz", manifest: "fxrs1mL.manifest.gz", tree: ".", datasets: 2, warnings: fxWarnings},
		{image: "fxxadir_1.0.xz", manifest: "fxxadir.manifest.gz", tree: ".", datasets: 2, warnings: fxWarnings},
	} {
		t.Run(c.image, func(t *testing.T) {
			var warnings []string
			o := Options{Warn: func(w string) { warnings = append(warnings, w) }}
			if c.origin != "" {
				o.Origins = readers([][]byte{stream(t, c.origin)})
			}
			dir, s, err := extract(t, stream(t, c.image), o)
			must.NoError(t, err)
			must.Len(t, c.datasets, s.Datasets)
			want := manifest(t, c.manifest)
			if _, ok := want["."]; ok { // it is of the last dataset
				must.Eq(t, len(want)-1, int(s.Datasets[c.datasets-1].Files))
			}
			compareManifest(t, want, filepath.Join(dir, c.tree))
			// What a file system has no room for is its own matter.
			warnings = slices.DeleteFunc(warnings, func(w string) bool {
				return strings.Contains(w, "extended attributes") || strings.Contains(w, "times before")
			})
			if asRoot {
				must.Eq(t, c.warnings, warnings)
			}
		})
	}
}

// fxWarnings are of a tree with two access control lists more than its
// manifest has: those are no more than the modes say.
var fxWarnings = []string{
	"left out: access control lists (of 3 files)",
	"left out: file flags (of 7 files)",
}

// compareManifest holds the tree at dir to a manifest.
func compareManifest(t *testing.T, want map[string]manifestLine, dir string) {
	t.Helper()
	byInode := map[uint64]string{}
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		must.NoError(t, err)
		rel, _ := filepath.Rel(dir, path)
		w, ok := want[rel]
		if !ok && rel == "." {
			return nil // not in every manifest
		}
		if !ok {
			t.Errorf("%q should not be there", rel)
			return nil
		}
		seen[rel] = true
		if got := lstatLine(t, path, w, byInode); got != w {
			t.Errorf("%q:\n got %+v\nwant %+v", rel, got, w)
		}
		if !asRoot && d.IsDir() {
			return os.Chmod(path, 0o700) // to see what is in it
		}
		return nil
	})
	must.NoError(t, err)
	for path, w := range want {
		if device := w.Type == "char" || w.Type == "block"; !seen[path] && (asRoot || !device) {
			t.Errorf("%q is missing", path)
		}
	}
}

var typeNames = map[fs.FileMode]string{
	0: "file", fs.ModeDir: "dir", fs.ModeSymlink: "symlink", fs.ModeNamedPipe: "fifo", fs.ModeSocket: "socket",
	fs.ModeDevice: "block", fs.ModeDevice | fs.ModeCharDevice: "char",
}

// lstatLine is a file as a manifest has it; of what that does not tell, as it is
// there. Without root all owners are the same.
func lstatLine(t *testing.T, path string, w manifestLine, byInode map[uint64]string) manifestLine {
	info, err := os.Lstat(path)
	must.NoError(t, err)
	st := info.Sys().(*syscall.Stat_t)
	l := manifestLine{Path: w.Path, Mode: fmt.Sprintf("%04o", st.Mode&0o7777), UID: st.Uid, GID: st.Gid}
	l.Type, l.MtimeNS = typeNames[info.Mode().Type()], info.ModTime().UnixNano()
	if info.Mode()&fs.ModeDevice != 0 { // of another file it is what the file system keeps there
		l.Rdev = uint64(st.Rdev)
	}
	if !asRoot {
		l.UID, l.GID = w.UID, w.GID
	}
	switch l.Type {
	case "file":
		l.Size, l.SHA256 = info.Size(), w.SHA256
		if w.SHA256 == "" {
			break // nothing in it, or gigabytes of nothing
		}
		if data, err := os.ReadFile(path); err == nil {
			sum := sha256.Sum256(data)
			l.SHA256 = hex.EncodeToString(sum[:])
		} else if asRoot {
			t.Error(err)
		}
	case "symlink":
		l.Mode = w.Mode // FreeBSD's links have modes, which nobody reads
		l.Target, err = os.Readlink(path)
		must.NoError(t, err)
	}
	if w.MtimeNS == 0 {
		l.MtimeNS = 0
	}
	if st.Nlink > 1 && !info.IsDir() {
		if _, ok := byInode[st.Ino]; !ok {
			byInode[st.Ino] = w.Path
			if w.Hardlink != "" {
				byInode[st.Ino] = w.Hardlink
			}
		}
		if first := byInode[st.Ino]; first != w.Path {
			l.Hardlink = first
		}
	}
	return l
}

func TestExtract_hello(t *testing.T) {
	leak.Check(t)
	for _, name := range []string{"hello-linux_1.0.xz", "hello-freebsd_1.0.xz"} {
		t.Run(name, func(t *testing.T) {
			dir, s, err := extract(t, stream(t, name), Options{})
			must.NoError(t, err)
			must.FileContains(t, filepath.Join(dir, "conf/pot.conf"), "pot.cmd=/bin/hello serve :8080")
			must.FileContains(t, filepath.Join(dir, "m/etc/passwd"), "web:")
			program, err := os.ReadFile(filepath.Join(dir, "m/bin/hello"))
			must.NoError(t, err)
			must.True(t, bytes.HasPrefix(program, []byte("\x7fELF")))
			must.Eq(t, []string{"", "m"}, []string{s.Datasets[0].Name, s.Datasets[1].Name})
			must.Eq(t, "1795390000", s.Datasets[1].Snapshot)
			must.Eq(t, 2026, s.Datasets[1].Created.Year())
			must.Eq(t, 3, s.Datasets[0].Files-1) // conf, two files, the place of m
			must.Greater(t, 2<<20, s.Datasets[1].Bytes)
			entries, err := os.ReadDir(dir)
			must.NoError(t, err)
			must.Len(t, 2, entries, must.Sprint("conf and m, and no stage"))
		})
	}
}

func TestExtract_top(t *testing.T) {
	leak.Check(t)
	e := small(t)
	top := e.at(0, drrObject, 34)
	binary.LittleEndian.PutUint64(top.attribute("ZPL_MODE"), 0o041750)
	dir, _, err := extract(t, e.encode(), Options{})
	must.NoError(t, err)
	info, err := os.Stat(dir)
	must.NoError(t, err)
	must.Eq(t, fs.ModeDir|fs.ModeSticky|0o750, info.Mode())
	mtime := top.attribute("ZPL_MTIME")
	must.Eq(t, binary.LittleEndian.Uint64(mtime), uint64(info.ModTime().Unix()))
	must.Eq(t, binary.LittleEndian.Uint64(mtime[8:]), uint64(info.ModTime().Nanosecond()))
}

func TestExtract_holes(t *testing.T) {
	leak.Check(t)
	dir, _, err := extract(t, stream(t, "bare-m.xz"), Options{})
	must.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "sparse"))
	must.NoError(t, err)
	must.Eq(t, 50<<20+5, info.Size())
	must.Less(t, 4<<20, info.Sys().(*syscall.Stat_t).Blocks*512)
}

func TestExtract_notEmpty(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	defer root.Close()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "kept"), nil, 0o600))
	_, err = Extract(t.Context(), bytes.NewReader(small(t).encode()), root, Options{})
	must.EqError(t, err, dir+" is not empty")
	must.FileExists(t, filepath.Join(dir, "kept"))
}

// countingReader calls f before every read.
type countingReader struct {
	r io.Reader
	f func()
}

func (r countingReader) Read(p []byte) (int, error) { r.f(); return r.r.Read(p) }

func TestExtract_cancelled(t *testing.T) {
	leak.Check(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	n := 0
	slow := countingReader{iotest.OneByteReader(bytes.NewReader(stream(t, "hello-linux_1.0.xz"))), func() {
		if n++; n == 50_000 {
			cancel(enough)
		}
	}}
	_, _, err := extractFrom(t, ctx, slow, Options{})
	must.ErrorIs(t, err, enough)
	must.Less(t, 300_000, n)
}

// TestExtract_memory holds a file of 256 MiB to a few MiB of memory.
func TestExtract_memory(t *testing.T) {
	leak.Check(t)
	if testing.Short() {
		t.Skip("writes 256 MiB")
	}
	e := small(t)
	at := e.index(1, drrWrite, bigFile)
	e[at].setU64(24, oldMaxBlock)
	e[at].payload = bytes.Repeat([]byte("large..."), oldMaxBlock/8)
	block := e[at]
	const blocks = 256 << 20 / oldMaxBlock
	pieces := make(testStream, 0, blocks+len(e))
	pieces = append(pieces, e[:at]...)
	for i := range uint64(blocks) {
		next := *block
		next.setU64(16, i*oldMaxBlock)
		pieces = append(pieces, &next)
	}
	pieces = append(pieces, e[at+1:]...)

	var peak uint64
	r, w := io.Pipe()
	go func() { w.CloseWithError(pieces.writeTo(w)) }()
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before, n := stats.HeapInuse, 0
	watch := countingReader{r, func() {
		if n++; n%2000 == 0 {
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapInuse)
		}
	}}
	// The file's attributes say that it is of one block: it is refused in the end,
	// when all has been staged.
	_, _, err := extractFrom(t, t.Context(), watch, Options{})
	must.ErrorContains(t, err, "268435456 bytes were written to a file of")
	must.Less(t, before+8<<20, peak)
}
