package oci

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/oci/ocitest"
	"nomad-driver-pot/image/zstream"
)

// zstdFrame is a frame that says it needs a window of that many bytes, a power of two from 1024 on
// (RFC 8878, 3.1.1.1.2), with an archive in raw blocks.
func zstdFrame(window int, archive []byte) []byte {
	exponent := 0
	for window>>(exponent+10) > 1 {
		exponent++
	}
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(exponent << 3)}
	for len(archive) > 0 {
		n := min(len(archive), 1024)
		last := 0
		if n == len(archive) {
			last = 1
		}
		header := n<<3 | last
		frame = append(append(frame, byte(header), byte(header>>8), byte(header>>16)), archive[:n]...)
		archive = archive[n:]
	}
	return frame
}

// storeAs makes the layer that of an archive, stored as data.
func (b *bench) storeAs(archive, data []byte) {
	b.archive, b.data = archive, data
	b.config.RootFS.DiffIDs[0], b.manifest.Layers[0] = sum(archive), b.layer()
}

// layersOf replaces the layers by archives.
func (b *bench) layersOf(all ...[]byte) {
	b.manifest.Layers, b.config.RootFS.DiffIDs = nil, nil
	for _, archive := range all {
		b.data = zip(archive)
		b.manifest.Layers = append(b.manifest.Layers, b.layer())
		b.config.RootFS.DiffIDs = append(b.config.RootFS.DiffIDs, sum(archive))
	}
}

// Tricks with compression, whiteouts, links and descriptors: what is refused has its own words, and
// what is not is the tree that docker would make.
func TestOpen_tricks(t *testing.T) {
	leak.Check(t)
	file := func(name, content string) ocitest.File { return ocitest.File{Name: name, Content: content} }
	links := func(all ...[]ocitest.File) func(*bench, string) {
		return on("config", func(b *bench) {
			var archives [][]byte
			for _, files := range all {
				archives = append(archives, ocitest.Archive(files...))
			}
			b.layersOf(archives...)
		})
	}
	type f = []ocitest.File
	dir := ocitest.File{Name: "d/", Header: tar.Header{Typeflag: tar.TypeDir}}
	for name, c := range map[string]struct {
		at        func(*bench, string)
		want, err string
	}{
		"zstd with a small window":   {on("config", func(b *bench) { b.storeAs(b.archive, zstdFrame(1<<20, b.archive)) }), "a=b", ""},
		"zstd with a window of 2 GB": {on("config", func(b *bench) { b.storeAs(b.archive, zstdFrame(1<<31, b.archive)) }), "", "zstd data is damaged: window size exceeded"},
		"zstd in two frames": {on("config", func(b *bench) {
			b.storeAs(b.archive, append(zstdFrame(1<<20, b.archive[:512]), zstdFrame(1<<20, b.archive[512:])...))
		}), "a=b", ""},
		"zstd behind frames to skip": {on("config", func(b *bench) {
			b.storeAs(b.archive, append(zstdFrame(1<<20, b.archive[:512]), append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00skip"), zstdFrame(1<<20, b.archive[512:])...)...))
		}), "a=b", ""},
		"gzip in two members": {on("config", func(b *bench) { b.storeAs(b.archive, append(zip(b.archive[:700]), zip(b.archive[700:])...)) }), "a=b", ""},
		"gzip with 20,000 empty members": {on("config", func(b *bench) {
			b.storeAs(b.archive, append(bytes.Repeat(zip(nil), 20_000), zip(b.archive)...))
		}), "a=b", ""},
		"gzip within gzip":             {on("config", func(b *bench) { b.storeAs(zip(b.archive), zip(zip(b.archive))) }), "", "it is no tar archive"},
		"a type that is not true":      {on("config", func(b *bench) { b.manifest.Layers[0].MediaType = types.OCILayerZStd }), "a=b", ""},
		"a plain layer that says gzip": {on("config", func(b *bench) { b.storeAs(b.archive, b.archive) }), "a=b", ""},

		"an archive without an end":           {on("config", func(b *bench) { b.store(b.archive[:513]) }), "a=b", ""},
		"an archive without an end or digest": {on("config", func(b *bench) { b.storeAs(b.archive, zip(b.archive[:513])) }), "", "is not what the image says: want sha256:"},
		"an archive that ends in a header":    {on("config", func(b *bench) { b.store(append(b.archive[:1024:1024], b.archive[:300]...)) }), "", "the archive is cut off"},

		"a whiteout that is only its prefix":     {links(f{file("a", "b")}, f{file(".wh.", "")}), "", `a whiteout of "" is no name`},
		"a whiteout of the directory above":      {links(f{file("d/a", "b")}, f{file("d/.wh...", "")}), "", `a whiteout of ".." is no name`},
		"a whiteout of the root":                 {links(f{file("a", "b")}, f{file(".wh..", "")}), "", `a whiteout of "." is no name`},
		"a file of AUFS":                         {links(f{file("a", "b"), file(".wh..wh.aufs", ""), file(".wh..wh.orph/x", "")}), "a=b", ""},
		"an opaque directory of nothing":         {links(f{file("a", "b")}, f{file("d/.wh..wh..opq", "")}), "a=b d/", ""},
		"a whiteout with a path behind it":       {links(f{file("a", "b")}, f{file(".wh.a/../b", "")}), "", `".." is no name`},
		"a whiteout that is a hard link":         {links(f{file("a", "b"), file("c", "d")}, f{{Name: ".wh.a", Header: ocitest.HardLink("c")}}), "c=d", ""},
		"a whiteout that is a symbolic link":     {links(f{file("a", "b")}, f{link(".wh.a", "a", tar.TypeSymlink)}), "", "a whiteout must be an empty file"},
		"a hard link to a name that was removed": {links(f{file("a", "b")}, f{file(".wh.a", ""), {Name: "c", Header: ocitest.HardLink("a")}}), "", `"a" is not there`},
		"a hard link to a whiteout":              {links(f{file("a", "b")}, f{file(".wh.a", ""), {Name: "c", Header: ocitest.HardLink(".wh.a")}}), "", `".wh.a" is not there`},
		"a hard link to itself":                  {links(f{{Name: "a", Header: ocitest.HardLink("a")}}), "", `"a" is not there`},
		"a directory that becomes a link":        {links(f{dir, file("e/x", "y")}, f{link("d", "e", tar.TypeSymlink)}, f{file("d/a", "b")}), "d e/ e/a=b e/x=y", ""},
		"a directory that becomes a link out":    {links(f{dir}, f{link("d", "../../etc", tar.TypeSymlink)}, f{file("d/a", "b")}), "", "leads out of the tree"},
		"a child under a link of its layer":      {links(f{file("e/x", "y"), link("d", "/e", tar.TypeSymlink), file("d/a", "b")}), "d e/ e/a=b e/x=y", ""},
		"a link to the root":                     {links(f{link("d", "/", tar.TypeSymlink)}, f{file("d/d/d/a", "b")}), "a=b d", ""},
		"an opaque directory through a link":     {links(f{file("e/x", "y"), link("d", "e", tar.TypeSymlink)}, f{file("d/.wh..wh..opq", "")}), "d e/", ""},
		"a path of 100,000 components":           {links(f{file(strings.Repeat("x/", 100_000)+"x", "")}), "", "directories deep"},
		"a path of 100,000 dots":                 {links(f{file(strings.Repeat("./", 100_000)+"a", "b")}), "a=b", ""},
		"links that double 30 times": {on("config", func(b *bench) {
			all := f{dir, link("l0", "d/.", tar.TypeSymlink)}
			for n := range 30 {
				all = append(all, link(fmt.Sprint("l", n+1), fmt.Sprintf("l%d/../l%d", n, n), tar.TypeSymlink))
			}
			b.layersOf(ocitest.Archive(append(all, file("l30/a", "b"))...))
		}), "", "more than 40 symbolic links"},
		"a global header with another path": {on("config", func(b *bench) {
			var out bytes.Buffer
			w := tar.NewWriter(&out)
			must.NoError(b.t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "../x"}}))
			must.NoError(b.t, w.Flush())
			b.layersOf(append(out.Bytes(), ocitest.Archive(file("a", "b"))...))
		}), "a=b", ""},

		"a second layer that is only in the manifest":      {on("config", func(b *bench) { b.manifest.Layers = append(b.manifest.Layers, b.manifest.Layers[0]) }), "", "the manifest has 2 layers, and the configuration 1"},
		"a second layer that is only in the configuration": {on("config", func(b *bench) { b.config.RootFS.DiffIDs = append(b.config.RootFS.DiffIDs, sum(nil)) }), "", "the manifest has 1 layers, and the configuration 2"},
		"digests in another order": {on("config", func(b *bench) {
			b.layersOf(ocitest.Archive(file("a", "1")), ocitest.Archive(file("a", "2")))
			ids := b.config.RootFS.DiffIDs
			ids[0], ids[1] = ids[1], ids[0]
		}), "", "layer 1 (sha256:"},
		"data in a descriptor counts for nothing": {on("config", func(b *bench) { b.manifest.Layers[0].Data = []byte("other") }), "a=b", ""},
		"data in the place of a missing blob": {on("index", func(b *bench) {
			at := b.path(b.index.Manifests[0])
			data, err := os.ReadFile(at)
			must.NoError(b.t, err)
			must.NoError(b.t, os.Remove(at))
			b.index.Manifests[0].Data = data
		}), "", "the image does not have it"},
		"a manifest that says it is an index": {on("index", func(b *bench) { b.index.Manifests[0].MediaType = types.OCIImageIndex }), "", ": "},
		"an index that says it is a manifest": {on("index", func(b *bench) {
			inner := b.json(types.OCIImageIndex, b.index)
			inner.MediaType = types.OCIManifestSchema1
			b.index.Manifests = []v1.Descriptor{inner}
		}), "", "there is no image for freebsd/amd64"},
		"an index within 100 others": {on("index", func(b *bench) { b.nest(100) }), "", "more than 3 indexes within each other"},
		"an index in itself":         {on("index", func(b *bench) { b.selfIndex() }), "", ": "},
		"a manifest at a URL":        {on("index", func(b *bench) { b.index.Manifests[0].URLs = []string{"http://127.0.0.1:1/x"} }), "a=b", ""},
		"a configuration of 100 MB":  {on("manifest", func(b *bench) { b.manifest.Config = b.blob(types.OCIConfigJSON, bytes.Repeat([]byte(" "), 100<<20)) }), "", "bytes, more than 4194304"},
		"a configuration as deep as it is long": {on("manifest", func(b *bench) {
			b.manifest.Config = b.blob(types.OCIConfigJSON, []byte(strings.Repeat("[", 1<<20)))
		}), "", "is not JSON"},
		"a configuration with something behind it": {on("manifest", func(b *bench) {
			data, err := os.ReadFile(b.path(b.manifest.Config))
			must.NoError(b.t, err)
			b.manifest.Config = b.blob(types.OCIConfigJSON, append(data, "garbage"...))
		}), "", "is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.write(c.at)
			o := amd64(t)
			o.MaxBytes = 2 << 20
			begun := time.Now()
			i, err := Open(t.Context(), "oci:"+b.dir, o)
			got := ""
			if err == nil {
				got, err = tree(t, i)
				must.NoError(t, i.Close())
			}
			must.Less(t, 20*time.Second, time.Since(begun))
			if c.err != "" {
				must.ErrorContains(t, err, c.err)
				must.Less(t, 1000, len(err.Error()))
				return
			}
			must.NoError(t, err)
			must.Eq(t, c.want, got)
		})
	}
}

// selfIndex has the index name a blob whose content it is to be: digests cannot be so, but an
// index may say one, and the file may be there.
func (b *bench) selfIndex() {
	d := b.json(types.OCIImageIndex, b.index)
	b.index.Manifests = []v1.Descriptor{d}
	data := []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"` + string(types.OCIImageIndex) + `","size":` + fmt.Sprint(d.Size) + `,"digest":"` + d.Digest.String() + `"}]}`)
	must.NoError(b.t, os.WriteFile(b.path(d), data, 0o644))
}

// A layer of very many entries is refused long before its end when their headers are too much,
// and the memory is bounded meanwhile.
func TestImage_Tree_manyHeaders(t *testing.T) {
	leak.Check(t)
	var one bytes.Buffer
	w := tar.NewWriter(&one)
	must.NoError(t, w.WriteHeader(&tar.Header{Name: "d/", Typeflag: tar.TypeDir, PAXRecords: map[string]string{"SCHILY.xattr.user.a": strings.Repeat("v", 60_000)}}))
	must.NoError(t, w.Flush())
	var data bytes.Buffer
	z, err := zstd.NewWriter(&data)
	must.NoError(t, err)
	for range maxMetadata/60_000 + 100 {
		_, err = z.Write(one.Bytes())
		must.NoError(t, err)
	}
	must.NoError(t, z.Close())
	i := &Image{config: &v1.ConfigFile{}, options: Options{MaxBytes: 1 << 40}, layers: []layer{{size: int64(data.Len()), diffID: sum(nil), open: opener(data.Bytes())}}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err = i.Tree(t.Context(), zstream.TarOptions{Spool: t.TempDir()}, nil)
	must.ErrorContains(t, err, "names and attributes have more than 268435456 bytes")
	runtime.GC()
	runtime.ReadMemStats(&after)
	must.Less(t, before.HeapInuse+64<<20, after.HeapInuse)
}

// Old versions of docker save write a layer that an image shares with another as a symbolic link
// to the other's file.
func TestOpen_dockerArchive_linkedLayers(t *testing.T) {
	leak.Check(t)
	layer := ocitest.Archive(ocitest.File{Name: "a", Content: "b"})
	config := text(t, v1.ConfigFile{OS: "freebsd", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{sum(layer), sum(layer)}}})
	id := strings.Repeat("ab", 32)
	at := filepath.Join(t.TempDir(), "save.tar")
	must.NoError(t, os.WriteFile(at, ocitest.Archive(
		ocitest.File{Name: "c.json", Content: config},
		ocitest.File{Name: id + "/", Header: tar.Header{Typeflag: tar.TypeDir}},
		ocitest.File{Name: id + "/VERSION", Content: "1.0"},
		ocitest.File{Name: id + "/layer.tar", Content: string(layer)},
		link("second/layer.tar", "../"+id+"/layer.tar", tar.TypeSymlink),
		ocitest.File{Name: "manifest.json", Content: text(t, []saved{{Config: "c.json", Layers: []string{id + "/layer.tar", "second/layer.tar"}}})},
		ocitest.File{Name: "repositories", Content: base64.StdEncoding.EncodeToString([]byte("{}"))},
	), 0o644))
	got, err := tree(t, open(t, "docker-archive:"+at, amd64(t)))
	must.NoError(t, err)
	must.Eq(t, "a=b", got)
}
