package zstream

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// freebsdFile is a file as FreeBSD saw it, with all that it can tell.
type freebsdFile struct {
	Path, Type, Mode, SHA256, Link, Mtime string
	Raw                                   []byte `json:"path_b64"` // a path that is not UTF-8
	UID, GID, Flags                       uint32
	Size                                  int64
	Nlink, Ino, Rdev                      uint64
	Group                                 int `json:"hardlink_group"`
	Xattrs                                []struct {
		NS, Name string
		Value    []byte `json:"b64"`
	}
	ACL []struct {
		Tag, Perm   uint32
		ID          uint32
		Type, Flags uint16
	}
	Segments   [][2]int64 `json:"data_segments"` // if it has holes
	SegmentSum string     `json:"sha256_of_segments"`
}

// freebsdFiles is a manifest with all of it, by path.
func freebsdFiles(t testing.TB, name string) map[string]freebsdFile {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	must.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must.NoError(t, err)
	var m struct{ Entries []freebsdFile }
	must.NoError(t, json.NewDecoder(z).Decode(&m))
	all := map[string]freebsdFile{}
	for _, s := range m.Entries {
		s.Path += string(s.Raw)
		all[s.Path] = s
	}
	must.Greater(t, 100, len(all))
	return all
}

// time is the mtime: seconds, negative before 1970, and nanoseconds.
func (s freebsdFile) time(t testing.TB) time.Time {
	sec, nsec, ok := strings.Cut(s.Mtime, ".")
	must.True(t, ok)
	a, err := strconv.ParseInt(sec, 10, 64)
	must.NoError(t, err)
	b, err := strconv.ParseInt(nsec, 10, 64)
	must.NoError(t, err)
	return time.Unix(a, b).UTC()
}

var typeLetters = map[uint32]string{
	unix.S_IFREG: "f", unix.S_IFDIR: "d", unix.S_IFLNK: "l", unix.S_IFIFO: "p", unix.S_IFSOCK: "s", unix.S_IFCHR: "c", unix.S_IFBLK: "b",
}

// st is a mode as stat(2) has it.
func st(e Entry) uint32 {
	for kind := range typeLetters {
		for bits := range uint32(8) {
			if m := kind | bits<<9; fileMode(m) == e.Mode&^0o777 {
				return m | uint32(e.Mode.Perm())
			}
		}
	}
	return 0
}

// aceMasks are bits of FreeBSD's entries (sys/sys/acl.h) and those of ZFS's.
var aceMasks = map[uint32]uint32{
	0x8: 1, 0x10: 2, 0x20: 4, 0x40: 8, 0x80: 0x10, 0x1: 0x20, 0x100: 0x40, 0x200: 0x80, 0x400: 0x100,
	0x800: 0x10000, 0x1000: 0x20000, 0x2000: 0x40000, 0x4000: 0x80000, 0x8000: 0x100000,
}

// aces is the list of a manifest as ZFS has it.
func (s freebsdFile) aces(t testing.TB) (list []ACE) {
	whom := map[uint32]uint16{1: aceOwner, 2: 0, 4: aceOwningGroup, 8: aceGroup, 64: aceEveryone}
	for _, a := range s.ACL {
		e := ACE{Type: a.Type>>8 - 1, Flags: a.Flags | whom[a.Tag]}
		for bit, mask := range aceMasks {
			if a.Perm&bit != 0 {
				e.Mask |= mask
			}
		}
		if e.hasID() {
			e.Who = a.ID
		}
		list = append(list, e)
	}
	return list
}

// checkIndex holds entries to a manifest. Directories where a child of the dataset
// is to be mounted are not in that.
func checkIndex(t *testing.T, want map[string]freebsdFile, s *Stream, entries []Entry) {
	t.Helper()
	found := map[string]Entry{}
	children := map[string]bool{}
	for _, d := range s.Datasets {
		children[d.Name] = d.Name != ""
	}
	for _, e := range entries {
		p := path.Join(e.Dataset, e.Path)
		if e.Dataset == "" && children[e.Path] || p == "." {
			continue
		}
		_, twice := found[p]
		must.False(t, twice, must.Sprint(p))
		found[p] = e
	}
	must.Eq(t, len(want), len(found))
	groups := map[int]string{}
	for p, w := range want {
		e, ok := found[p]
		if !ok {
			t.Errorf("%q is missing", p)
			continue
		}
		checkEntry(t, w, e)
		// All of a group but one are links to that one.
		if w.Group == 0 {
			must.Eq(t, "", e.Hardlink)
		} else if e.Hardlink == "" {
			must.Eq(t, "", groups[w.Group], must.Sprint(p))
			groups[w.Group] = p
		}
	}
	for p, e := range found {
		if e.Hardlink != "" {
			must.Eq(t, groups[want[p].Group], path.Join(e.Dataset, e.Hardlink))
		}
	}
}

// checkEntry holds one entry to a manifest.
func checkEntry(t *testing.T, w freebsdFile, e Entry) {
	t.Helper()
	mode := st(e)
	got := fmt.Sprintf("%s %04o %d:%d %d bytes, %v, to %q, object %d, flags %d, device %d:%d", typeLetters[mode&unix.S_IFMT],
		mode&0o7777, e.UID, e.GID, e.Size, e.Modified, e.Target, e.Object, e.Flags.Stat(), e.Major, e.Minor)
	major, minor := uint32(0), uint32(0)
	if w.Type == "c" || w.Type == "b" {
		major, minor = uint32(w.Rdev>>32&0xffffff00|w.Rdev>>8&0xff), uint32(w.Rdev>>24&0xff00|w.Rdev&0xffff00ff)
	}
	want := fmt.Sprintf("%s %s %d:%d %d bytes, %v, to %q, object %d, flags %d, device %d:%d", w.Type,
		w.Mode, w.UID, w.GID, w.Size, w.time(t), w.Link, w.Ino, w.Flags, major, minor)
	if got != want {
		t.Errorf("%q:\n got %s\nwant %s", w.Path, got, want)
	}
	if w.Type != "d" {
		must.Eq(t, max(w.Nlink, 1), e.Links, must.Sprint(w.Path))
	}
	// A list that says no more than the mode may be there too.
	if len(w.ACL) > 0 {
		must.Eq(t, w.aces(t), e.ACL, must.Sprint(w.Path))
	}
	must.Eq(t, len(w.Xattrs), len(e.Xattrs), must.Sprint(w.Path))
	for i, x := range w.Xattrs {
		must.Eq(t, Xattr{x.NS, x.Name, int64(len(x.Value)), append([]byte{}, x.Value...)}, e.Xattrs[i], must.Sprint(w.Path))
	}
}

// checkTree holds what was extracted to a manifest, where the file system and the
// user can have it: content, kinds, times, owners, links, extended attributes.
func checkTree(t *testing.T, want map[string]freebsdFile, dir string) {
	t.Helper()
	groups := map[int]uint64{}
	for p, w := range want {
		var st unix.Stat_t
		err := unix.Lstat(filepath.Join(dir, p), &st)
		if !asRoot && err != nil {
			continue
		}
		must.NoError(t, err, must.Sprint(p))
		mode := fmt.Sprintf("%04o", st.Mode&0o7777)
		if w.Type == "l" {
			mode = w.Mode // FreeBSD's links have modes, which nobody reads
		}
		mtime := time.Unix(st.Mtim.Unix()).UTC()
		if sec := w.time(t).Unix(); sec <= -1<<31 || sec > 1<<33 {
			mtime = w.time(t) // ext4 knows no other centuries
		}
		got := fmt.Sprintf("%s %s %v", typeLetters[uint32(st.Mode)&unix.S_IFMT], mode, mtime)
		must.Eq(t, fmt.Sprintf("%s %s %v", w.Type, w.Mode, w.time(t)), got, must.Sprint(p))
		if asRoot {
			must.Eq(t, [2]uint32{w.UID, w.GID}, [2]uint32{st.Uid, st.Gid}, must.Sprint(p))
		}
		if w.Group != 0 {
			if groups[w.Group] == 0 {
				groups[w.Group] = st.Ino
			}
			must.Eq(t, groups[w.Group], st.Ino, must.Sprint(p))
		}
		checkContent(t, w, filepath.Join(dir, p), st)
	}
}

// checkContent is checkTree of what is in a file.
func checkContent(t *testing.T, w freebsdFile, file string, st unix.Stat_t) {
	t.Helper()
	if !asRoot && st.Mode&0o400 == 0 {
		return // its own mode forbids it
	}
	switch {
	case w.Type == "l":
		target, err := os.Readlink(file)
		must.NoError(t, err)
		must.Eq(t, w.Link, target)
	case w.Type == "f" && w.SHA256 != "":
		data, err := os.ReadFile(file)
		must.NoError(t, err)
		sum := sha256.Sum256(data)
		must.Eq(t, w.SHA256, hex.EncodeToString(sum[:]), must.Sprint(w.Path))
		must.Eq(t, w.Size, st.Size)
	case w.Type == "f":
		must.Eq(t, w.Size, st.Size)
	}
	if len(w.Segments) > 0 {
		checkHoles(t, w, file)
	}
	for _, x := range w.Xattrs {
		if x.NS != "user" || len(x.Value) > 3000 {
			continue // of which ext4 has no room
		}
		got := make([]byte, 4096)
		n, err := unix.Lgetxattr(file, "user."+x.Name, got)
		if err == unix.EOPNOTSUPP {
			continue
		}
		must.NoError(t, err, must.Sprint(w.Path))
		must.Eq(t, x.Value, append([]byte{}, got[:n]...))
	}
}

// checkHoles makes sure that a file has data where it had, and nowhere else but in
// the same page. UFS has the last block of a file that ftruncate(2) has made longer be
// data (ffs_inode.c, ffs_truncate).
func checkHoles(t *testing.T, w freebsdFile, file string) {
	t.Helper()
	const page = 4096
	f, err := os.Open(file)
	must.NoError(t, err)
	defer f.Close()
	sum := sha256.New()
	for _, s := range w.Segments {
		_, err := io.Copy(sum, io.NewSectionReader(f, s[0], s[1]-s[0]))
		must.NoError(t, err)
	}
	if w.SegmentSum != "" {
		must.Eq(t, w.SegmentSum, hex.EncodeToString(sum.Sum(nil)), must.Sprint(w.Path))
	}
	last := w.Size
	if runtime.GOOS == "freebsd" {
		info, err := f.Stat()
		must.NoError(t, err)
		block := int64(info.Sys().(*syscall.Stat_t).Blksize)
		last = (w.Size - 1) / block * block
	}
	for at := int64(0); ; {
		from, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return
		}
		must.NoError(t, err)
		at, err = f.Seek(from, unix.SEEK_HOLE)
		must.NoError(t, err)
		within := slices.ContainsFunc(w.Segments, func(s [2]int64) bool {
			return from >= s[0]&^(page-1) && at <= (s[1]+page-1)&^(page-1)
		})
		must.True(t, within || from >= last, must.Sprintf("%q: data from %d to %d, of %v", w.Path, from, at, w.Segments))
	}
}
