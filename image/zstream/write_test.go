package zstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

var writeOptions = WriteOptions{Dataset: "zroot/jails/web", Snapshot: "1795392222", Created: time.Unix(1795392222, 0)}

// confFileSystem is the top dataset of an image.
func confFileSystem(t testing.TB) FileSystem {
	t.Helper()
	files, err := NewFiles(map[string]string{
		"conf/pot.conf": "pot.level=0\n", "conf/fscomp.conf": "", "m/": "",
	}, time.Unix(1795392222, 0))
	must.NoError(t, err)
	return FileSystem{"", files}
}

// filesOfDir are the files in dir.
func filesOfDir(t testing.TB, dir string) *Files {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	files, err := ReadDir(t.Context(), root)
	must.NoError(t, err)
	return files
}

// filesOfTar are the files in an archive.
func filesOfTar(t testing.TB, data []byte) *Files {
	t.Helper()
	files, err := ReadTar(t.Context(), bytes.NewReader(data), TarOptions{Spool: t.TempDir(), Missing: writeOptions.Created})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, files.Close()) })
	return files
}

// writeStream is the stream of an image with those files.
func writeStream(t testing.TB, files *Files) []byte {
	t.Helper()
	var out bytes.Buffer
	_, err := Write(t.Context(), &out, writeOptions, confFileSystem(t), FileSystem{"m", files})
	must.NoError(t, err)
	return out.Bytes()
}

// A kind of file for every tree: its mode is with its type, as in stat(2).
type specialFile struct {
	path string
	mode uint32
	data string
	ns   int64
}

var specialFiles = []specialFile{
	{path: "empty", mode: unix.S_IFREG | 0o644, ns: -2e9 - 1},
	{path: "bytes512", mode: unix.S_IFREG | 0o600, data: strings.Repeat("x", 512), ns: -86400 * 365 * 50 * 1e9},
	{path: "bytes513", mode: unix.S_IFREG | 0o4755, data: strings.Repeat("y", 513), ns: 1<<62 + 7},
	{path: "block", mode: unix.S_IFREG | 0o2710, data: strings.Repeat("z", recordSize), ns: 1},
	{path: "block and one", mode: unix.S_IFREG | 0o6000, data: strings.Repeat("z", recordSize) + "1", ns: 2},
	{path: "holes", mode: unix.S_IFREG | 0o444, data: strings.Repeat("\x00", 3*recordSize) + "in" + strings.Repeat("\x00", 5*recordSize+9), ns: 3},
	{path: "zeros", mode: unix.S_IFREG | 0o007, data: strings.Repeat("\x00", 1000), ns: 4},
	{path: "dir", mode: unix.S_IFDIR | 0o1777, ns: 5},
	{path: "dir/below", mode: unix.S_IFDIR | 0o700, ns: 6},
	{path: "dir/ünïcödé-名前-😀", mode: unix.S_IFREG | 0o644, data: "u", ns: 7},
	{path: "dir/\xff\xfe is no UTF-8", mode: unix.S_IFREG | 0o644, data: "b", ns: 8},
	{path: "dir/" + strings.Repeat("n", 255), mode: unix.S_IFREG | 0o644, data: "n", ns: 9},
	{path: "dir/" + strings.Repeat("d", 255), mode: unix.S_IFDIR | 0o755, ns: 10},
	{path: "link", mode: unix.S_IFLNK | 0o777, data: "dir/below", ns: 11},
	{path: "link in the dnode", mode: unix.S_IFLNK | 0o777, data: strings.Repeat("l", 144), ns: 12},
	{path: "link beyond", mode: unix.S_IFLNK | 0o777, data: strings.Repeat("l", 145), ns: 13},
	{path: "long link", mode: unix.S_IFLNK | 0o777, data: strings.Repeat("/..", 340), ns: 14},
	{path: "fifo", mode: unix.S_IFIFO | 0o640, ns: 15},
	{path: "dir/hard", mode: unix.S_IFREG, data: "bytes513"},
	{path: "dir/below/hard", mode: unix.S_IFREG, data: "bytes513"},
}

// init makes what nobody may read such as its owner may, unless that is root.
func init() {
	for i := range specialFiles {
		if !asRoot && specialFiles[i].mode&unix.S_IFMT == unix.S_IFREG {
			specialFiles[i].mode |= 0o400
		}
	}
}

// isHard tells that it is one more name.
func (o specialFile) isHard() bool { return strings.HasSuffix(o.path, "hard") }

// makeSpecialFiles makes files of all kinds in dir, and devices if this user may.
func makeSpecialFiles(t testing.TB, dir string) {
	t.Helper()
	for _, o := range specialFiles {
		at := filepath.Join(dir, o.path)
		switch {
		case o.isHard():
			must.NoError(t, os.Link(filepath.Join(dir, o.data), at))
			continue
		case o.mode&unix.S_IFMT == unix.S_IFREG:
			must.NoError(t, os.WriteFile(at, []byte(o.data), 0o600))
		case o.mode&unix.S_IFMT == unix.S_IFDIR:
			must.NoError(t, os.Mkdir(at, 0o700))
		case o.mode&unix.S_IFMT == unix.S_IFLNK:
			must.NoError(t, os.Symlink(o.data, at))
		default:
			must.NoError(t, mknod(unix.AT_FDCWD, at, o.mode, 0))
		}
	}
	if asRoot {
		must.NoError(t, mknod(unix.AT_FDCWD, filepath.Join(dir, "chr"), unix.S_IFCHR|0o600, unix.Mkdev(5, 300)))
		must.NoError(t, mknod(unix.AT_FDCWD, filepath.Join(dir, "blk"), unix.S_IFBLK|0o640, unix.Mkdev(8, 1)))
		must.NoError(t, os.Lchown(filepath.Join(dir, "link"), 1<<31+5, 77))
		must.NoError(t, os.Chown(filepath.Join(dir, "bytes513"), 80, 1<<32-2))
	}
	for _, o := range slices.Backward(specialFiles) {
		if o.isHard() {
			continue
		}
		at := filepath.Join(dir, o.path)
		must.NoError(t, chmod(unix.AT_FDCWD, at, o.mode))
		ts := []unix.Timespec{unix.NsecToTimespec(o.ns), unix.NsecToTimespec(o.ns)}
		must.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, at, ts, unix.AT_SYMLINK_NOFOLLOW))
	}
}

// mustBeSameTree holds the tree at got to that at want, file by file.
func mustBeSameTree(t testing.TB, want, got string) {
	t.Helper()
	wanted, there := statAll(t, want), statAll(t, got)
	for path, w := range wanted {
		if g, ok := there[path]; !ok {
			t.Errorf("%q is missing", path)
		} else if g != w {
			t.Errorf("%q:\n got %+v\nwant %+v", path, g, w)
		}
	}
	for path := range there {
		if _, ok := wanted[path]; !ok {
			t.Errorf("%q should not be there", path)
		}
	}
}

// fileStat is a file as stat(2) and its content show it.
type fileStat struct {
	mode, uid, gid uint32
	links          uint64
	size           int64
	ns             int64
	rdev           uint64
	data           string // or what it links to
	first          string // of the names of this file
}

// survey is all that is below dir, and dir itself.
func statAll(t testing.TB, dir string) map[string]fileStat {
	t.Helper()
	all, first := map[string]fileStat{}, map[uint64]string{}
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		must.NoError(t, err)
		path, _ := filepath.Rel(dir, at)
		info, err := os.Lstat(at)
		must.NoError(t, err)
		st := info.Sys().(*syscall.Stat_t)
		s := fileStat{mode: uint32(st.Mode), uid: st.Uid, gid: st.Gid, ns: info.ModTime().UnixNano()}
		switch {
		case d.Type()&fs.ModeDevice != 0:
			s.rdev = uint64(st.Rdev)
		case d.Type().IsRegular():
			s.size, s.links = info.Size(), uint64(st.Nlink)
			if data, err := os.ReadFile(at); err == nil || asRoot {
				must.NoError(t, err)
				s.data = fmt.Sprintf("%x", sumOf(data))
			}
		case d.Type() == fs.ModeSymlink:
			s.data, err = os.Readlink(at)
			must.NoError(t, err)
		}
		if _, ok := first[st.Ino]; !ok {
			first[st.Ino] = path
		}
		s.first = first[st.Ino]
		all[path] = s
		return nil
	})
	must.NoError(t, err)
	return all
}

// sumOf keeps contents out of messages.
func sumOf(data []byte) (f fletcher4) {
	f.Write(append(data, make([]byte, -len(data)&3)...), byteOrder{})
	return f
}

func TestWrite_oddFiles(t *testing.T) {
	leak.Check(t)
	src := t.TempDir()
	makeSpecialFiles(t, src)
	stream := writeStream(t, filesOfDir(t, src))
	dir, s, err := extract(t, stream, Options{})
	must.NoError(t, err)
	must.Eq(t, []string{"", "m"}, []string{s.Datasets[0].Name, s.Datasets[1].Name})
	must.FileContains(t, filepath.Join(dir, "conf/pot.conf"), "pot.level=0")
	mustBeSameTree(t, src, filepath.Join(dir, "m"))

	t.Run("a hole is one again", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(dir, "m/holes"))
		must.NoError(t, err)
		must.LessEq(t, 2*recordSize, info.Sys().(*syscall.Stat_t).Blocks*512)
	})
	t.Run("the same files give the same bytes", func(t *testing.T) {
		must.True(t, bytes.Equal(stream, writeStream(t, filesOfDir(t, src))))
		must.True(t, bytes.Equal(stream, writeStream(t, filesOfDir(t, filepath.Join(dir, "m")))))
	})
	t.Run("one bit of a file gives other GUIDs", func(t *testing.T) {
		must.NoError(t, os.Chmod(filepath.Join(src, "empty"), 0o645))
		_, other, err := extract(t, writeStream(t, filesOfDir(t, src)), Options{})
		must.NoError(t, err)
		for i := range other.Datasets {
			must.NotEq(t, s.Datasets[i].GUID, other.Datasets[i].GUID)
		}
	})
	t.Run("zstream(8) has no complaint", func(t *testing.T) { zstreamDump(t, stream) })
}

// zstreamDump has OpenZFS look at a stream.
func zstreamDump(t testing.TB, stream []byte) {
	t.Helper()
	_, err := exec.LookPath("zstream") // of Debian's zfsutils-linux, in contrib
	need.Have(t, "zstream", err == nil)
	cmd := exec.Command("zstream", "dump", "-v")
	cmd.Stdin = bytes.NewReader(stream)
	out, err := cmd.CombinedOutput()
	must.NoError(t, err)
	must.StrNotContains(t, string(out), "Incorrect checksum")
	must.StrContains(t, string(out), fmt.Sprintf("Total stream length = %d (", len(stream)))
}

func TestReadDir_xattrs(t *testing.T) {
	leak.Check(t)
	src := t.TempDir()
	for name, size := range map[string]int{"some": 10, "large": 1000, "none": 0} {
		at := filepath.Join(src, name)
		must.NoError(t, os.WriteFile(at, nil, 0o600))
		err := unix.Setxattr(at, "user.b", make([]byte, size), 0)
		if errors.Is(err, unix.ENOTSUP) {
			t.Skip("needs a file system with extended attributes")
		}
		must.NoError(t, err)
	}
	must.NoError(t, unix.Setxattr(filepath.Join(src, "some"), "user.a", []byte("first"), 0))
	files := filesOfDir(t, src)
	must.SliceEmpty(t, files.Warnings())
	for _, f := range files.files[1:] {
		list, err := unpackNvlist(f.xattrs)
		must.NoError(t, err)
		if len(list) == 2 {
			must.Eq(t, nvlist{{"user.a", []byte("first")}, {"user.b", make([]byte, 10)}}, list)
		}
	}
	f := file{mode: unix.S_IFREG}
	files.setXattrs(&f, map[string][]byte{"user.large": make([]byte, maxXattr+1)})
	must.Nil(t, f.xattrs)
	files.setXattrs(&f, map[string][]byte{"user.1": make([]byte, maxXattr), "user.2": make([]byte, maxXattr)})
	must.Nil(t, f.xattrs)
	must.Eq(t, []string{"left out: extended attributes of more than 32 KiB, or 64 KiB in all (of 2 files)"}, files.Warnings())

	t.Run("they are in the dnode, or in a spill block", func(t *testing.T) {
		f.xattrs = make([]byte, 40)
		bonus, spill := encodeAttributes(&f, 0, 6, 1)
		must.Nil(t, spill)
		must.LessEq(t, bonusRoom, len(bonus))
		f.xattrs = make([]byte, maxVariableAttr)
		bonus, spill = encodeAttributes(&f, 0, 6, 1)
		must.LessEq(t, bonusWithSpill, len(bonus))
		must.Eq(t, 0, len(spill)%sector)
	})
}

func TestWrite_usrShare(t *testing.T) {
	leak.Check(t)
	const share = "/usr/share"
	if _, err := os.Stat(share); err != nil || testing.Short() {
		t.Skip("needs " + share + ", and writes all of it")
	}
	r, w := io.Pipe()
	files := filesOfDir(t, share)
	go func() {
		_, err := Write(t.Context(), w, writeOptions, FileSystem{"", files})
		w.CloseWithError(err)
	}()
	dir, s, err := extractFrom(t, t.Context(), r, Options{})
	must.NoError(t, err)
	if asRoot {
		mustBeSameTree(t, share, dir)
	}
	must.Greater(t, 100, s.Datasets[0].Files)
}

// TestWrite_large is a file of 3 GiB that is mostly holes.
func TestWrite_large(t *testing.T) {
	leak.Check(t)
	src := t.TempDir()
	f, err := os.Create(filepath.Join(src, "large"))
	must.NoError(t, err)
	defer f.Close()
	for _, at := range []int64{1<<31 - 3, 3<<30 + 17} {
		_, err = f.WriteAt([]byte("data"), at)
		must.NoError(t, err)
	}
	start := time.Now()
	stream := writeStream(t, filesOfDir(t, src))
	must.Less(t, 1<<20, len(stream))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("holes are read: it took %v", took)
	}
	dir, _, err := extract(t, stream, Options{})
	must.NoError(t, err)
	out, err := os.Open(filepath.Join(dir, "m/large"))
	must.NoError(t, err)
	defer out.Close()
	info, err := out.Stat()
	must.NoError(t, err)
	must.Eq(t, 3<<30+21, info.Size())
	must.LessEq(t, 4*recordSize, info.Sys().(*syscall.Stat_t).Blocks*512)
	got := make([]byte, 6)
	_, err = out.ReadAt(got, 1<<31-4)
	must.NoError(t, err)
	must.Eq(t, "\x00data\x00", string(got))
}

func TestWrite_changed(t *testing.T) {
	leak.Check(t)
	src := t.TempDir()
	at := filepath.Join(src, "log")
	must.NoError(t, os.WriteFile(at, []byte("one"), 0o600))
	files := filesOfDir(t, src)
	_, err := Write(t.Context(), io.Discard, writeOptions, FileSystem{"", files})
	must.NoError(t, err)
	for _, now := range []string{"two", "three", "1"} {
		must.NoError(t, os.WriteFile(at, []byte(now), 0o600))
		_, err = Write(t.Context(), io.Discard, writeOptions, FileSystem{"", files})
		must.EqError(t, err, "log: it changed while it was read")
	}
}

func TestWrite_cancelled(t *testing.T) {
	leak.Check(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	_, err := Write(ctx, io.Discard, writeOptions, confFileSystem(t))
	must.ErrorIs(t, err, enough)
}

func TestWrite_names(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct {
		err     string
		o       WriteOptions
		systems []string
	}{
		{`the first dataset must be the top one`, writeOptions, []string{"m"}},
		{`"a@b" is no name of a snapshot`, WriteOptions{Dataset: "a", Snapshot: "a@b"}, []string{""}},
		{`"" is no name of a dataset`, WriteOptions{Dataset: "a//b", Snapshot: "s", Created: writeOptions.Created}, []string{""}},
		{`dataset "x/y" is there twice, or not after the one that it is in`, writeOptions, []string{"", "x/y"}},
		{`the snapshot cannot be of 1969-12-31 23:59:59 +0000 UTC, before 1970`, WriteOptions{Dataset: "a", Snapshot: "s", Created: time.Unix(-1, 0).UTC()}, []string{""}},
	} {
		var systems []FileSystem
		for _, name := range c.systems {
			systems = append(systems, FileSystem{name, confFileSystem(t).Files})
		}
		_, err := Write(t.Context(), io.Discard, c.o, systems...)
		must.EqError(t, err, c.err)
	}
}
