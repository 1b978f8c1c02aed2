package zstream

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
)

// Entries of layers. The content of a file is its name, or what content says.
func fileEntry(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
func dirEntry(name string) tar.Header  { return tar.Header{Name: name + "/", Typeflag: tar.TypeDir} }
func whiteoutEntry(name string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Gname: "empty"}
}
func symlinkEntry(name, to string) tar.Header {
	return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}
}
func linkEntry(name, to string) tar.Header {
	return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink}
}

// layerOf is a layer of those entries; a file has its name and the number of the layer.
func layerOf(t testing.TB, n int, headers []tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		content := fmt.Sprint(h.Name, " ", n)
		if h.Typeflag == tar.TypeReg && h.Gname == "" {
			h.Size = int64(len(content))
		}
		must.NoError(t, w.WriteHeader(&h))
		if h.Size > 0 {
			_, err := w.Write([]byte(content))
			must.NoError(t, err)
		}
	}
	must.NoError(t, w.Close())
	return out.Bytes()
}

// applyLayers is the tree of layers.
func applyLayers(t testing.TB, o TarOptions, layers ...[]byte) (*Files, error) {
	t.Helper()
	l, err := NewLayers(o)
	must.NoError(t, err)
	for n, data := range layers {
		if err := l.Apply(t.Context(), bytes.NewReader(data)); err != nil {
			return nil, errors.Join(fmt.Errorf("layer %d: %w", n, err), l.Close())
		}
	}
	files, err := l.Files()
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, files.Close()) })
	return files, files.prepare(t.Context())
}

// listing is each file of a tree with what it is: its content, its target, or a slash.
func listing(t testing.TB, files *Files) (lines []string) {
	t.Helper()
	var walk func(dir uint32, at string)
	walk = func(dir uint32, at string) {
		for _, n := range files.files[dir].names {
			f, path := &files.files[n.file], at+n.name
			switch f.kind() {
			case unix.S_IFDIR:
				lines = append(lines, path+"/")
				walk(n.file, path+"/")
			case unix.S_IFLNK:
				lines = append(lines, path+" -> "+f.target)
			case unix.S_IFREG:
				var content bytes.Buffer
				must.NoError(t, files.eachBlock(t.Context(), n.file, func(_ int64, b []byte) error {
					content.Write(b)
					return nil
				}))
				lines = append(lines, fmt.Sprintf("%s: %s (%d)", path, content.String(), f.links))
			default:
				lines = append(lines, fmt.Sprintf("%s %o %x", path, f.kind(), f.rdev))
			}
		}
	}
	walk(0, "")
	return lines
}

func TestLayers(t *testing.T) {
	leak.Check(t)
	type layers = [][]tar.Header
	for name, c := range map[string]struct {
		layers layers
		want   string
	}{
		"a later layer replaces a file":             {layers{{fileEntry("a")}, {fileEntry("a")}}, "a: a 1 (1)"},
		"a directory keeps its entries":             {layers{{fileEntry("d/a")}, {dirEntry("d"), fileEntry("d/b")}}, "d/, d/a: d/a 0 (1), d/b: d/b 1 (1)"},
		"a file replaces a directory":               {layers{{fileEntry("d/a")}, {fileEntry("d")}}, "d: d 1 (1)"},
		"a directory replaces a file":               {layers{{fileEntry("d")}, {dirEntry("d"), fileEntry("d/a")}}, "d/, d/a: d/a 1 (1)"},
		"a directory replaces a link":               {layers{{symlinkEntry("d", "e"), dirEntry("e")}, {dirEntry("d"), fileEntry("d/a")}}, "d/, d/a: d/a 1 (1), e/"},
		"a directory may be there twice in a layer": {layers{{dirEntry("d"), fileEntry("d/a"), dirEntry("d")}}, "d/, d/a: d/a 0 (1)"},

		"a whiteout removes a file":                    {layers{{fileEntry("a"), fileEntry("b")}, {whiteoutEntry(".wh.a")}}, "b: b 0 (1)"},
		"a whiteout removes a tree":                    {layers{{fileEntry("d/e/a")}, {whiteoutEntry("d/.wh.e")}}, "d/"},
		"what was removed can come again":              {layers{{fileEntry("d/a")}, {whiteoutEntry(".wh.d")}, {fileEntry("d/b")}}, "d/, d/b: d/b 2 (1)"},
		"a whiteout spares its own layer":              {layers{{fileEntry("a")}, {whiteoutEntry(".wh.a"), fileEntry("a")}}, "a: a 1 (1)"},
		"also if it comes later":                       {layers{{fileEntry("a")}, {fileEntry("a"), whiteoutEntry(".wh.a")}}, "a: a 1 (1)"},
		"also a tree of its own layer":                 {layers{{fileEntry("d/a")}, {fileEntry("d/b"), whiteoutEntry(".wh.d")}}, "d/, d/b: d/b 1 (1)"},
		"an opaque directory has only its own":         {layers{{fileEntry("d/a"), fileEntry("d/e/a")}, {whiteoutEntry("d/.wh..wh..opq"), fileEntry("d/b")}}, "d/, d/b: d/b 1 (1)"},
		"also if it says so later":                     {layers{{fileEntry("d/a"), fileEntry("d/e/a")}, {fileEntry("d/e/b"), whiteoutEntry("d/.wh..wh..opq")}}, "d/, d/e/, d/e/b: d/e/b 1 (1)"},
		"an opaque directory can be new":               {layers{{fileEntry("a")}, {whiteoutEntry("d/.wh..wh..opq"), fileEntry("d/b")}}, "a: a 0 (1), d/, d/b: d/b 1 (1)"},
		"an opaque directory may have a whiteout, too": {layers{{fileEntry("d/a")}, {whiteoutEntry("d/.wh..wh..opq"), whiteoutEntry("d/.wh.a")}}, "d/"},
		"the root can be opaque":                       {layers{{fileEntry("a")}, {whiteoutEntry(".wh..wh..opq"), fileEntry("b")}}, "b: b 1 (1)"},
		"a name may begin with .wh":                    {layers{{fileEntry(".whale")}, {whiteoutEntry(".wh..whale"), fileEntry(".whb")}}, ".whb: .whb 1 (1)"},
		"files of AUFS are omitted":                    {layers{{fileEntry("a"), fileEntry(".wh..wh.plnk/1"), whiteoutEntry(".wh..wh.aufs")}}, "a: a 0 (1)"},

		"a hard link reaches across layers":       {layers{{fileEntry("a")}, {linkEntry("b", "a")}}, "a: a 0 (2), b: a 0 (2)"},
		"it outlives the name it was made from":   {layers{{fileEntry("a")}, {linkEntry("b", "a")}, {whiteoutEntry(".wh.a")}}, "b: a 0 (1)"},
		"it keeps what it was made of":            {layers{{fileEntry("a")}, {linkEntry("b", "a")}, {fileEntry("a")}}, "a: a 2 (1), b: a 0 (1)"},
		"a hard link replaces a directory":        {layers{{fileEntry("a"), fileEntry("d/x")}, {linkEntry("d", "a")}}, "a: a 0 (2), d: a 0 (2)"},
		"a path leads through a link":             {layers{{dirEntry("usr/lib"), symlinkEntry("lib", "usr/lib")}, {fileEntry("lib/a")}}, "lib -> usr/lib, usr/, usr/lib/, usr/lib/a: lib/a 1 (1)"},
		"an absolute link leads from the root":    {layers{{dirEntry("a/b"), symlinkEntry("a/c", "/a/../a/b")}, {fileEntry("a/c/x")}}, "a/, a/b/, a/b/x: a/c/x 1 (1), a/c -> /a/../a/b"},
		"a whiteout leads through a link":         {layers{{fileEntry("usr/a"), symlinkEntry("l", "usr")}, {whiteoutEntry("l/.wh.a")}}, "l -> usr, usr/"},
		"a hard link leads through a link":        {layers{{fileEntry("usr/a"), symlinkEntry("l", "usr")}, {linkEntry("b", "l/a")}}, "b: usr/a 0 (2), l -> usr, usr/, usr/a: usr/a 0 (2)"},
		"a link itself is replaced, not followed": {layers{{fileEntry("a"), symlinkEntry("l", "a")}, {fileEntry("l")}}, "a: a 0 (1), l: l 1 (1)"},
		"a device is kept":                        {layers{{tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, tar.Header{Name: "p", Typeflag: tar.TypeFifo}}}, "null 20000 100000003, p 10000 0"},
		"a long name is kept":                     {layers{{fileEntry(strings.Repeat("n", 255))}}, strings.Repeat("n", 255) + ": " + strings.Repeat("n", 255) + " 0 (1)"},
	} {
		t.Run(name, func(t *testing.T) {
			var all [][]byte
			for n, headers := range c.layers {
				all = append(all, layerOf(t, n, headers))
			}
			files, err := applyLayers(t, TarOptions{Spool: t.TempDir()}, all...)
			must.NoError(t, err)
			must.Eq(t, c.want, strings.Join(listing(t, files), ", "))
		})
	}
}

func TestLayers_MkdirAll(t *testing.T) {
	leak.Check(t)
	l, err := NewLayers(TarOptions{Spool: t.TempDir()})
	must.NoError(t, err)
	must.NoError(t, l.Apply(t.Context(), bytes.NewReader(layerOf(t, 0, []tar.Header{fileEntry("f"), dirEntry("d"), symlinkEntry("l", "d")}))))
	must.NoError(t, l.MkdirAll("/l/x/y"))
	must.NoError(t, l.MkdirAll("/"))
	must.ErrorContains(t, l.MkdirAll("/f/x"), `"f", which it is in, is no directory`)
	files, err := l.Files()
	must.NoError(t, err)
	defer files.Close()
	must.NoError(t, files.prepare(t.Context()))
	must.Eq(t, []string{"d/", "d/x/", "d/x/y/", "f: f 0 (1)", "l -> d"}, listing(t, files))
}

func TestLayers_refused(t *testing.T) {
	leak.Check(t)
	below := []tar.Header{fileEntry("a"), fileEntry("d/x"), symlinkEntry("up", "../.."), symlinkEntry("l1", "l2"), symlinkEntry("l2", "l1")}
	for name, c := range map[string]struct {
		entries []tar.Header
		want    string
	}{
		"a path out of the tree":                 {[]tar.Header{fileEntry("d/../../x")}, `".." is no name`},
		"a path through a link out of the tree":  {[]tar.Header{fileEntry("up/x")}, "a link that it leads through leads out of the tree"},
		"a hard link out of the tree":            {[]tar.Header{linkEntry("x", "../etc/passwd")}, `".." is no name`},
		"a hard link through such a link":        {[]tar.Header{linkEntry("x", "up/x")}, "leads out of the tree"},
		"a whiteout through such a link":         {[]tar.Header{whiteoutEntry("up/.wh.x")}, "leads out of the tree"},
		"a path through links in a circle":       {[]tar.Header{fileEntry("l1/x")}, "more than 40 symbolic links"},
		"a path through a file":                  {[]tar.Header{fileEntry("a/x")}, `"a", which it is in, is no directory`},
		"a hard link to nothing":                 {[]tar.Header{linkEntry("x", "y")}, `"y" is not there`},
		"a hard link to a directory":             {[]tar.Header{linkEntry("x", "d")}, "a directory"},
		"a hard link to what the layer removed":  {[]tar.Header{whiteoutEntry(".wh.a"), linkEntry("x", "a")}, `"a" is not there`},
		"a file twice":                           {[]tar.Header{fileEntry("x"), fileEntry("./x")}, "the layer has it twice"},
		"a file and a link":                      {[]tar.Header{fileEntry("x"), linkEntry("x", "a")}, "the layer has it twice"},
		"a file and a directory":                 {[]tar.Header{fileEntry("x"), dirEntry("x")}, "the layer has it twice"},
		"a directory and a file":                 {[]tar.Header{dirEntry("x"), fileEntry("x")}, "the layer has it twice"},
		"a path's directory as a file":           {[]tar.Header{fileEntry("d/y"), fileEntry("d")}, "the layer has it as a directory, too"},
		"a whiteout twice":                       {[]tar.Header{whiteoutEntry(".wh.a"), whiteoutEntry(".wh.a")}, "the layer has it twice"},
		"an opaque directory twice":              {[]tar.Header{whiteoutEntry("d/.wh..wh..opq"), whiteoutEntry("d/.wh..wh..opq")}, "the layer has it twice"},
		"a whiteout of nothing":                  {[]tar.Header{whiteoutEntry("d/.wh.y")}, `a whiteout of nothing: no layer below has "d/y"`},
		"a whiteout in nothing":                  {[]tar.Header{whiteoutEntry("y/z/.wh.a")}, `a whiteout of nothing: no layer below has "y/z/a"`},
		"a whiteout without a name":              {[]tar.Header{whiteoutEntry(".wh.")}, `a whiteout of "" is no name`},
		"a whiteout of the directory itself":     {[]tar.Header{whiteoutEntry("d/.wh..")}, `a whiteout of "." is no name`},
		"a whiteout of the directory above":      {[]tar.Header{whiteoutEntry("d/.wh...")}, `a whiteout of ".." is no name`},
		"a whiteout with content":                {[]tar.Header{fileEntry(".wh.a")}, "a whiteout must be an empty file"},
		"a whiteout that is a directory":         {[]tar.Header{dirEntry(".wh.a")}, "a whiteout must be an empty file"},
		"a file in a whiteout":                   {[]tar.Header{fileEntry(".wh.a/x")}, `".wh.a", which it is in, is a whiteout`},
		"a file in place of the root":            {[]tar.Header{fileEntry(".")}, "the root must be a directory"},
		"a name that is too long":                {[]tar.Header{fileEntry(strings.Repeat("n", 256))}, "longer than 255"},
		"a path that is too deep":                {[]tar.Header{fileEntry(strings.Repeat("d/", 513) + "x")}, "directories deep"},
		"an owner that cannot be":                {[]tar.Header{{Name: "x", Typeflag: tar.TypeReg, Uid: -1, Format: tar.FormatGNU}}, "no owner has the number -1"},
		"a symbolic link to nothing at all":      {[]tar.Header{symlinkEntry("x", "")}, "a link to a path of 0 bytes"},
		"a symbolic link that is too long":       {[]tar.Header{symlinkEntry("x", strings.Repeat("l", 30000))}, "a link to a path of 30000 bytes"},
		"an attribute without a name":            {[]tar.Header{{Name: "x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.": "v"}}}, "it has no name"},
		"more files than allowed":                {[]tar.Header{dirEntry("1/2/3/4/5/6/7/8/9")}, "there are more than 12 files"},
		"more entries than allowed":              {[]tar.Header{dirEntry("."), dirEntry("."), dirEntry("."), dirEntry("."), dirEntry("."), dirEntry("."), dirEntry("."), dirEntry(".")}, "there are more than 12 entries"},
		"more bytes than allowed":                {[]tar.Header{{Name: "s", Typeflag: tar.TypeReg, Size: 100}}, "there is more than Options allow"},
		"more bytes of names than allowed":       {[]tar.Header{{Name: strings.Repeat("n", 200), Linkname: strings.Repeat("n/", 45000), Typeflag: tar.TypeSymlink}}, "names and attributes have more than 70000 bytes"},
		"more bytes of attributes than allowed":  {[]tar.Header{{Name: "x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.a": strings.Repeat("v", 70000)}}}, "names and attributes have more than 70000 bytes"},
		"a link that goes on below another file": {[]tar.Header{symlinkEntry("f", "a/b"), fileEntry("f/x")}, `"a", which it is in, is no directory`},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			var top bytes.Buffer
			if h := c.entries[0]; h.Size > 0 { // layerOf writes short contents
				w := tar.NewWriter(&top)
				must.NoError(t, w.WriteHeader(&h))
				_, err := w.Write(make([]byte, h.Size))
				must.NoError(t, err)
				must.NoError(t, w.Close())
			} else {
				top.Write(layerOf(t, 1, c.entries))
			}
			_, err := applyLayers(t, TarOptions{Spool: t.TempDir(), MaxBytes: 90, MaxEntries: 12, MaxMetadata: 70000}, layerOf(t, 0, below), top.Bytes())
			must.ErrorContains(t, err, "layer 1: tar: entry ")
			must.ErrorContains(t, err, c.want)
		})
	}
}

// FuzzLayers applies two layers. Whatever they are, the tree is complete, and nothing in it is
// out of the tree.
func FuzzLayers(f *testing.F) {
	add := func(below, top []tar.Header) { f.Add(layerOf(f, 0, below), layerOf(f, 1, top)) }
	add([]tar.Header{fileEntry("d/a"), fileEntry("d/b"), linkEntry("c", "d/a")}, []tar.Header{whiteoutEntry("d/.wh.a"), fileEntry("d/b")})
	add([]tar.Header{fileEntry("d/a"), symlinkEntry("l", "/d")}, []tar.Header{whiteoutEntry("d/.wh..wh..opq"), fileEntry("l/b"), linkEntry("c", "l/b")})
	add([]tar.Header{symlinkEntry("l", ".."), dirEntry("d")}, []tar.Header{fileEntry("l/b"), fileEntry("d")})
	add([]tar.Header{{Name: "x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "v"}}}, []tar.Header{whiteoutEntry(".wh.x"), {Name: "n", Typeflag: tar.TypeChar}})
	f.Fuzz(func(t *testing.T, below, top []byte) {
		files, err := applyLayers(t, TarOptions{MaxBytes: 1 << 20, MaxEntries: 1000, MaxMetadata: 1 << 20}, below, top)
		if err != nil {
			return
		}
		for _, n := range listing(t, files) {
			if strings.HasPrefix(n, "../") || strings.Contains(n, "/../") && !strings.Contains(n, " -> ") {
				t.Errorf("%q is out of the tree", n)
			}
		}
	})
}

// Extended attributes and holes of a layer are kept, and an upper layer's replace a lower's.
func TestLayers_xattrs(t *testing.T) {
	leak.Check(t)
	coloured := func(colour string) tar.Header {
		return tar.Header{Name: "x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.colour": colour, "SCHILY.xattr.security.capability": "c"}}
	}
	layers := [][]byte{layerOf(t, 0, []tar.Header{coloured("red")}), layerOf(t, 1, []tar.Header{coloured("blue"), linkEntry("y", "x")})}
	files, err := applyLayers(t, TarOptions{Spool: t.TempDir()}, layers...)
	must.NoError(t, err)
	must.Eq(t, []string{"left out: extended attributes of other namespaces than user (of 2 files)"}, files.Warnings())
	i := files.files[0].names[0].file
	must.Eq(t, i, files.files[0].names[1].file)
	must.StrContains(t, string(files.files[i].xattrs), "blue")
	must.StrNotContains(t, string(files.files[i].xattrs), "red")
}

func TestLayers_sparse(t *testing.T) {
	leak.Check(t)
	// A sparse file in GNU format: 1 MiB, of which the last 512 bytes are stored.
	var header [512]byte
	put := func(at int, s string) { copy(header[at:], s) }
	put(0, "s")
	put(100, "0000644\x000000000\x000000000\x0000000001000\x0000000000000\x00")
	put(148, "        S")
	put(257, "ustar  \x00")
	put(386, "00003777000\x0000000001000\x00")
	put(483, "00004000000\x00")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	put(148, fmt.Sprintf("%06o\x00 ", sum))
	data := append(append(header[:], bytes.Repeat([]byte("s"), 512)...), make([]byte, 1024)...)
	files, err := applyLayers(t, TarOptions{Spool: t.TempDir()}, data)
	must.NoError(t, err)
	f := files.files[files.files[0].names[0].file]
	must.Eq(t, 1<<20, f.size)
	must.Less(t, 1<<20, files.bytes)
	_, err = applyLayers(t, TarOptions{Spool: t.TempDir(), MaxBytes: 1<<20 - 1}, data)
	must.ErrorContains(t, err, "there is more than Options allow")
}
