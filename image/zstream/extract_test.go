package zstream

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mikelolasagasti/xz"
	"github.com/shoenig/test/must"
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

// line is one of a manifest: a file as FreeBSD saw it.
type line struct {
	Path, Type, Mode, SHA256, Target, Hardlink string
	UID, GID                                   uint32
	Size                                       int64
	MtimeNS                                    int64 `json:"mtime_ns"`
}

func manifest(t testing.TB, name string) map[string]line {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	must.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must.NoError(t, err)
	all := map[string]line{}
	for d := json.NewDecoder(z); ; {
		var l line
		err := d.Decode(&l)
		if err == io.EOF {
			return all
		}
		must.NoError(t, err)
		all[l.Path] = l
	}
}

// extract extracts data into a new directory.
func extract(t testing.TB, data []byte, o Options) (string, *Stream, error) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	defer root.Close()
	s, err := Extract(t.Context(), bytes.NewReader(data), root, o)
	return dir, s, err
}

func TestExtract_fixtures(t *testing.T) {
	for _, c := range []struct{ image, manifest, tree string }{
		{"plain_1.0.xz", "plain.manifest.gz", "m"},
		{"plain_1.0-oneblock.xz", "plain.manifest.gz", "m"},
		{"bare-m.xz", "plain.manifest.gz", "."},
		{"attrs_1.0.xz", "attrs.manifest.gz", "m"},
	} {
		t.Run(c.image, func(t *testing.T) {
			var warnings []string
			dir, s, err := extract(t, stream(t, c.image), Options{Warn: func(w string) { warnings = append(warnings, w) }})
			must.NoError(t, err)
			want := manifest(t, c.manifest)
			compare(t, want, filepath.Join(dir, c.tree))
			last := s.Datasets[len(s.Datasets)-1]
			must.Eq(t, int64(len(want)), last.Files+1) // the manifest has the root
			must.Eq(t, "1795392222", last.Snapshot)
			if c.tree == "m" {
				must.Eq(t, "m", last.Name)
				must.FileExists(t, filepath.Join(dir, "conf/pot.conf"))
			}
			t.Log(warnings)
		})
	}
}

// compare holds the tree at dir to a manifest.
func compare(t *testing.T, want map[string]line, dir string) {
	t.Helper()
	first := map[uint64]string{}
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		must.NoError(t, err)
		rel, _ := filepath.Rel(dir, path)
		w, ok := want[rel]
		if !ok {
			t.Errorf("%q should not be there", rel)
			return nil
		}
		seen++
		if got := look(t, path, rel, w, first); got != w {
			t.Errorf("%q:\n got %+v\nwant %+v", rel, got, w)
		}
		return nil
	})
	must.NoError(t, err)
	must.Eq(t, len(want), seen)
}

// look is a file as a manifest has it. Without root there are no other owners.
func look(t *testing.T, path, rel string, w line, first map[uint64]string) line {
	info, err := os.Lstat(path)
	must.NoError(t, err)
	st := info.Sys().(*syscall.Stat_t)
	l := line{Path: rel, Mode: fmt.Sprintf("%o", st.Mode&0o7777), UID: st.Uid, GID: st.Gid}
	if w.Mode != "" && len(w.Mode) > len(l.Mode) {
		l.Mode = fmt.Sprintf("%0*s", len(w.Mode), l.Mode)
	}
	if os.Geteuid() != 0 {
		l.UID, l.GID = w.UID, w.GID
	}
	switch info.Mode().Type() {
	case 0:
		l.Type, l.Size, l.MtimeNS = "file", info.Size(), info.ModTime().UnixNano()
		l.SHA256 = w.SHA256
		if data, err := os.ReadFile(path); err == nil {
			sum := sha256.Sum256(data)
			l.SHA256 = hex.EncodeToString(sum[:])
		} else if os.Geteuid() == 0 {
			t.Error(err)
		}
	case fs.ModeDir:
		l.Type, l.Size = "dir", w.Size
	case fs.ModeSymlink:
		l.Type, l.Size = "symlink", w.Size
		l.Mode = w.Mode // a link's has no meaning, and no name to set it by
		l.Target, err = os.Readlink(path)
		must.NoError(t, err)
	case fs.ModeNamedPipe:
		l.Type, l.Size, l.MtimeNS = "fifo", info.Size(), info.ModTime().UnixNano()
	}
	if w.MtimeNS == 0 {
		l.MtimeNS = 0
	}
	if st.Nlink > 1 && !info.IsDir() {
		if name, ok := first[st.Ino]; ok {
			l.Hardlink = name
		} else {
			first[st.Ino] = rel
			l.Hardlink = w.Hardlink
		}
	}
	return l
}

func TestExtract_hello(t *testing.T) {
	dir, s, err := extract(t, stream(t, "hello-freebsd_1.0.xz"), Options{})
	must.NoError(t, err)
	must.FileContains(t, filepath.Join(dir, "conf/pot.conf"), "pot.cmd=/bin/hello serve :8080")
	must.FileContains(t, filepath.Join(dir, "m/etc/passwd"), "web:")
	program, err := os.ReadFile(filepath.Join(dir, "m/bin/hello"))
	must.NoError(t, err)
	must.True(t, bytes.HasPrefix(program, []byte("\x7fELF")))
	must.Eq(t, []string{"", "m"}, []string{s.Datasets[0].Name, s.Datasets[1].Name})
	must.Eq(t, int64(1795390000), s.Datasets[1].Created.Unix()/10000*10000)
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 2, entries, must.Sprint("conf and m, and no stage"))
}
