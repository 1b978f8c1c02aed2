package zstream

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

// specialFilesTar is the same as an archive, its entries shuffled as far as they can be.
func specialFilesTar(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	types := map[uint32]byte{
		unix.S_IFREG: tar.TypeReg, unix.S_IFDIR: tar.TypeDir, unix.S_IFLNK: tar.TypeSymlink, unix.S_IFIFO: tar.TypeFifo,
	}
	all := slices.Clone(specialFiles)
	hard := all[len(all)-2:]
	all = all[:len(all)-2]
	rand.New(rand.NewSource(1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, o := range append(all, hard...) {
		h := &tar.Header{
			Name: "./" + o.path, Typeflag: types[o.mode&unix.S_IFMT], Mode: int64(o.mode & 0o7777),
			ModTime: time.Unix(0, o.ns), Format: tar.FormatPAX, Uid: os.Getuid(), Gid: os.Getgid(),
		}
		switch {
		case o.isHard():
			h.Typeflag, h.Linkname = tar.TypeLink, o.data
		case h.Typeflag == tar.TypeReg:
			h.Size = int64(len(o.data))
		case h.Typeflag == tar.TypeSymlink:
			h.Linkname = o.data
		}
		must.NoError(t, w.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, o.data)
			must.NoError(t, err)
		}
	}
	must.NoError(t, w.Close())
	return out.Bytes()
}

func TestReadTar(t *testing.T) {
	leak.Check(t)
	src := t.TempDir()
	makeSpecialFiles(t, src)
	files := filesOfTar(t, specialFilesTar(t))
	files.SetOwner(uint32(os.Getuid()), uint32(os.Getgid())) // of the root, too
	stream := writeStream(t, files)
	dir, _, err := extract(t, stream, Options{})
	must.NoError(t, err)
	must.True(t, bytes.Equal(stream, writeStream(t, filesOfDir(t, filepath.Join(dir, "m")))), must.Sprint("as that of a directory"))
	want, got := statAll(t, src), statAll(t, filepath.Join(dir, "m"))
	for _, o := range specialFiles {
		w, g := want[o.path], got[o.path]
		if asRoot { // those of makeSpecialFiles are not in the archive
			w.uid, w.gid = g.uid, g.gid
		}
		must.Eq(t, w, g, must.Sprint(o.path))
	}
	must.MapLen(t, len(specialFiles)+1, got)
}

// archiveOf is a tar of those headers, whose contents are their names.
func archiveOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		h.ModTime = time.Unix(5, 0)
		must.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, h.Name)
			must.NoError(t, err)
		}
	}
	must.NoError(t, w.Close())
	return out.Bytes()
}

func TestReadTar_refused(t *testing.T) {
	leak.Check(t)
	reg := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink}
	}
	symlink := tar.Header{Name: "s", Linkname: "/etc", Typeflag: tar.TypeSymlink}
	dir := tar.Header{Name: "d/", Typeflag: tar.TypeDir}
	for _, c := range []struct {
		name, err string
		headers   []tar.Header
	}{
		{"out of the tree", `tar: entry 0: "../x": ".." is no name`, []tar.Header{reg("../x")}},
		{"through a symbolic link", `tar: entry 1: "s/x": "s", which it is in, is no directory`, []tar.Header{symlink, reg("s/x")}},
		{"a link to what is not there", `tar: entry 0: "x": "y" is not there`, []tar.Header{link("x", "y")}},
		{"a link to a directory", `tar: entry 1: "x": it is a link to "d/", a directory`, []tar.Header{dir, link("x", "d/")}},
		{"a file in place of a directory", `tar: entry 1: "d": it is a directory already`, []tar.Header{dir, reg("d")}},
		{"a file in place of the root", `tar: entry 0: ".": the root must be a directory`, []tar.Header{reg(".")}},
		{"a name that is too long", `tar: entry 0: "` + strings.Repeat("n", 256) + `": a name of 256 bytes is longer than 255`, []tar.Header{reg(strings.Repeat("n", 256))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadTar(t.Context(), bytes.NewReader(archiveOf(t, c.headers...)), TarOptions{Spool: t.TempDir()})
			must.EqError(t, err, c.err)
		})
	}
	t.Run("more content than allowed", func(t *testing.T) {
		_, err := ReadTar(t.Context(), bytes.NewReader(archiveOf(t, reg("four"), reg("five!"))), TarOptions{MaxBytes: 8})
		must.ErrorContains(t, err, "there is more than Options allow")
	})
	t.Run("an archive that is cut", func(t *testing.T) {
		spool, data := t.TempDir(), archiveOf(t, reg("x"))
		_, err := ReadTar(t.Context(), bytes.NewReader(data[:512]), TarOptions{Spool: spool})
		must.ErrorIs(t, err, io.ErrUnexpectedEOF)
		left, err := os.ReadDir(spool)
		must.NoError(t, err)
		must.SliceEmpty(t, left)
	})
	t.Run("what fails after the archive's end is an error", func(t *testing.T) {
		broken := errors.New("the check at the end")
		r := io.MultiReader(bytes.NewReader(archiveOf(t, reg("x"))), readError{broken})
		_, err := ReadTar(t.Context(), r, TarOptions{})
		must.ErrorIs(t, err, broken)
	})
}

type readError struct{ err error }

func (r readError) Read([]byte) (int, error) { return 0, r.err }

func TestReadTar_again(t *testing.T) {
	leak.Check(t)
	files := filesOfTar(t, archiveOf(t,
		tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o600},
		tar.Header{Name: "deep/in/x", Typeflag: tar.TypeReg, Mode: 0o600},
		tar.Header{Name: "deep/", Typeflag: tar.TypeDir, Mode: 0o711},
		tar.Header{Name: "/a", Typeflag: tar.TypeReg, Mode: 0o640, PAXRecords: map[string]string{
			"SCHILY.fflags": "schg", "SCHILY.xattr.user.colour": "red", "SCHILY.xattr.security.capability": "x",
		}},
		tar.Header{Name: "b", Linkname: "a", Typeflag: tar.TypeLink},
	))
	must.Eq(t, []string{
		"left out: extended attributes of other namespaces than user (of 1 files)",
		"left out: file flags (of 1 files)",
	}, files.Warnings())
	dir, _, err := extract(t, writeStream(t, files), Options{})
	must.NoError(t, err)
	all := statAll(t, filepath.Join(dir, "m"))
	must.MapLen(t, 6, all)
	must.Eq(t, unix.S_IFREG|0o640, all["a"].mode)
	must.Eq(t, "a", all["b"].first)
	must.Eq(t, unix.S_IFDIR|0o711, all["deep"].mode)
	must.Eq(t, unix.S_IFDIR|0o755, all["deep/in"].mode)
}

func TestReadTar_sparse(t *testing.T) {
	leak.Check(t)
	_, err := exec.LookPath("tar")
	need.Have(t, "tar", err == nil)
	src := t.TempDir()
	f, err := os.Create(filepath.Join(src, "sparse"))
	must.NoError(t, err)
	_, err = f.WriteAt([]byte("end"), 40<<20)
	must.NoError(t, errors.Join(err, f.Close()))
	for _, format := range []string{"gnu", "posix"} {
		data, err := exec.Command("tar", "-C", src, "--format="+format, "--sparse", "-c", ".").Output()
		if err != nil {
			t.Skip("needs GNU tar")
		}
		must.Less(t, 1<<20, len(data))
		stream := writeStream(t, filesOfTar(t, data))
		must.Less(t, 1<<20, len(stream))
		dir, _, err := extract(t, stream, Options{})
		must.NoError(t, err)
		info, err := os.Stat(filepath.Join(dir, "m/sparse"))
		must.NoError(t, err)
		must.Eq(t, 40<<20+3, info.Size())
	}
}

// TestWrite_memory holds files of 300 MiB in all to a few MiB of memory.
func TestWrite_memory(t *testing.T) {
	leak.Check(t)
	if testing.Short() {
		t.Skip("writes 300 MiB")
	}
	var headers []tar.Header
	for i := range 3 {
		headers = append(headers, tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeReg, Size: 100 << 20})
	}
	noise := bytes.Repeat([]byte("noise..."), recordSize/8)
	r, w := io.Pipe()
	go func() {
		a := tar.NewWriter(w)
		for i := range headers {
			_ = a.WriteHeader(&headers[i])
			for range headers[i].Size / recordSize {
				_, _ = a.Write(noise)
			}
		}
		w.CloseWithError(a.Close())
	}()
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before, peak, n := stats.HeapInuse, uint64(0), 0
	look := func() {
		if n++; n%200 == 0 {
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapInuse)
		}
	}
	files, err := ReadTar(t.Context(), countingReader{r, look}, TarOptions{Spool: t.TempDir()})
	must.NoError(t, err)
	defer files.Close()
	out, end := io.Pipe()
	go func() {
		_, err := Write(t.Context(), end, writeOptions, FileSystem{"", files})
		end.CloseWithError(err)
	}()
	size, err := io.Copy(io.Discard, countingReader{out, look})
	must.NoError(t, err)
	must.Greater(t, 300<<20, size)
	must.Less(t, before+12<<20, peak)
}
