package oci

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/oci/ocitest"
	"nomad-driver-pot/image/zstream"
)

// bench is a layout whose parts can be exchanged for others.
type bench struct {
	t        *testing.T
	dir      string
	config   v1.ConfigFile
	manifest v1.Manifest
	index    v1.IndexManifest
	archive  []byte // of the one layer
	data     []byte // as it is stored

	raw map[string][]byte // files in place of those, by path
}

func zip(data []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(data)
	_ = z.Close()
	return out.Bytes()
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), raw: map[string][]byte{}}
	b.setLayer(ocitest.Archive(ocitest.File{Name: "a", Content: "b"}))
	b.config = v1.ConfigFile{OS: "freebsd", Architecture: "amd64", Config: v1.Config{Cmd: []string{"/a"}}}
	return b
}

func (b *bench) setLayer(archive []byte) { b.archive, b.data = archive, zip(archive) }

// blob writes a blob and returns its descriptor.
func (b *bench) blob(kind types.MediaType, data []byte) v1.Descriptor {
	b.t.Helper()
	digest, size, err := v1.SHA256(bytes.NewReader(data))
	must.NoError(b.t, err)
	at := filepath.Join(b.dir, "blobs/sha256", digest.Hex)
	must.NoError(b.t, os.MkdirAll(filepath.Dir(at), 0o755))
	must.NoError(b.t, os.WriteFile(at, data, 0o644))
	return v1.Descriptor{MediaType: kind, Size: size, Digest: digest}
}

func (b *bench) json(kind types.MediaType, v any) v1.Descriptor {
	b.t.Helper()
	data, err := json.Marshal(v)
	must.NoError(b.t, err)
	return b.blob(kind, data)
}

// path is where a blob is.
func (b *bench) path(d v1.Descriptor) string {
	return filepath.Join(b.dir, "blobs/sha256", d.Digest.Hex)
}

// sum is the digest of an archive.
func sum(archive []byte) v1.Hash {
	h, _, _ := v1.SHA256(bytes.NewReader(archive))
	return h
}

// layer writes the layer.
func (b *bench) layer() v1.Descriptor { return b.blob(types.OCILayer, b.data) }

// write writes the layout. at changes what has been made so far.
func (b *bench) write(at func(b *bench, stage string)) {
	b.t.Helper()
	b.config.RootFS.DiffIDs = []v1.Hash{sum(b.archive)}
	b.manifest.Layers = []v1.Descriptor{b.layer()}
	at(b, "config")
	b.manifest.SchemaVersion, b.manifest.MediaType = 2, types.OCIManifestSchema1
	b.manifest.Config = b.json(types.OCIConfigJSON, b.config)
	at(b, "manifest")
	b.index = v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{b.json(types.OCIManifestSchema1, b.manifest)}}
	at(b, "index")
	data, err := json.Marshal(b.index)
	must.NoError(b.t, err)
	must.NoError(b.t, os.WriteFile(filepath.Join(b.dir, "index.json"), data, 0o644))
	at(b, "end")
}

// on calls f at a stage.
func on(stage string, f func(*bench)) func(*bench, string) {
	return func(b *bench, at string) {
		if at == stage {
			f(b)
		}
	}
}

func TestOpen_hostile(t *testing.T) {
	leak.Check(t)
	firstLayer := func(f func(d *v1.Descriptor)) func(*bench, string) {
		return on("config", func(b *bench) { f(&b.manifest.Layers[0]) })
	}
	swap := func(of func(*bench) v1.Descriptor, data string) func(*bench, string) {
		return on("end", func(b *bench) { must.NoError(b.t, os.WriteFile(b.path(of(b)), []byte(data), 0o644)) })
	}
	theLayer := func(b *bench) v1.Descriptor { return b.manifest.Layers[0] }
	theConfig := func(b *bench) v1.Descriptor { return b.manifest.Config }
	theManifest := func(b *bench) v1.Descriptor { return b.index.Manifests[0] }
	remove := func(of func(*bench) v1.Descriptor) func(*bench, string) {
		return on("end", func(b *bench) { must.NoError(b.t, os.Remove(b.path(of(b)))) })
	}
	for name, c := range map[string]struct {
		at   func(*bench, string)
		want string
	}{
		"an encrypted layer":               {firstLayer(func(d *v1.Descriptor) { d.MediaType += "+encrypted" }), "is encrypted, which is not supported"},
		"a foreign layer":                  {firstLayer(func(d *v1.Descriptor) { d.MediaType = types.DockerForeignLayer }), "is a foreign layer, which is kept elsewhere"},
		"a layer that is not distributed":  {firstLayer(func(d *v1.Descriptor) { d.MediaType = types.OCIRestrictedLayer }), "is a foreign layer"},
		"a layer at a URL":                 {firstLayer(func(d *v1.Descriptor) { d.URLs = []string{"https://example.org/x"} }), "is a foreign layer"},
		"a layer of another kind":          {firstLayer(func(d *v1.Descriptor) { d.MediaType = "application/wasm" }), `is no layer of files: its type is "application/wasm"`},
		"a layer of a negative size":       {firstLayer(func(d *v1.Descriptor) { d.Size = -5 }), "has a size of -5 bytes"},
		"a layer without a digest":         {firstLayer(func(d *v1.Descriptor) { d.Digest = v1.Hash{Algorithm: "sha256", Hex: "ab"} }), "is no manifest"},
		"a digest of another algorithm":    {firstLayer(func(d *v1.Descriptor) { d.Digest.Algorithm = "md5" }), "is no manifest"},
		"a layer that is larger than said": {firstLayer(func(d *v1.Descriptor) { d.Size-- }), "bytes that the image says"},
		"a layer that is smaller":          {firstLayer(func(d *v1.Descriptor) { d.Size++ }), "that the image says"},
		"a layer that is too large":        {firstLayer(func(d *v1.Descriptor) { d.Size = 1 << 62 }), "the layers have more than"},
		"layers that are, together": {on("config", func(b *bench) {
			l := b.manifest.Layers[0]
			l.Size = 1<<63 - 1
			b.manifest.Layers = []v1.Descriptor{l, l, l}
			b.config.RootFS.DiffIDs = append(b.config.RootFS.DiffIDs, sum(nil), sum(nil))
		}), "the layers have more than"},
		"another content than said":       {on("config", func(b *bench) { b.config.RootFS.DiffIDs[0] = sum([]byte("other")) }), "is not what the image says: want sha256:"},
		"a content's digest of md5":       {on("config", func(b *bench) { b.config.RootFS.DiffIDs[0].Algorithm = "md5" }), "is no configuration of an image"},
		"no layer at all":                 {on("config", func(b *bench) { b.manifest.Layers, b.config.RootFS.DiffIDs = nil, nil }), "the image has no layers"},
		"more layers than contents":       {on("config", func(b *bench) { b.config.RootFS.DiffIDs = nil }), "the manifest has 1 layers, and the configuration 0"},
		"2000 layers":                     {on("config", func(b *bench) { b.many(2000) }), "the image has 2000 layers, more than 1024"},
		"100,000 layers":                  {on("config", func(b *bench) { b.many(100_000) }), "bytes, more than 4194304"},
		"a root file system of no layers": {on("config", func(b *bench) { b.config.RootFS.Type = "squashfs" }), `has the type "squashfs", not layers`},
		"another platform than the index": {on("index", func(b *bench) {
			b.config.OS = "linux"
			b.manifest.Config = b.json(types.OCIConfigJSON, b.config)
			b.index.Manifests[0] = b.json(types.OCIManifestSchema1, b.manifest)
			b.index.Manifests[0].Platform = &v1.Platform{OS: "freebsd", Architecture: "amd64"}
		}), "only for linux/amd64"},
		"an artifact": {on("index", func(b *bench) {
			b.manifest.Config.MediaType = "application/vnd.cncf.helm.config.v1+json"
			b.index.Manifests[0] = b.json(types.OCIManifestSchema1, b.manifest)
			b.index.Manifests[0].Platform = &v1.Platform{OS: "freebsd", Architecture: "amd64"}
		}), "is an artifact, not an image"},
		"only an artifact":                {on("manifest", func(b *bench) { b.manifest.Config.MediaType = "application/x" }), "there is no image for freebsd/amd64"},
		"the first format":                {on("index", func(b *bench) { b.index.Manifests[0].MediaType = types.DockerManifestSchema1Signed }), "is an image of the old format"},
		"an index in itself":              {on("index", func(b *bench) { b.nest(8) }), "more than 3 indexes within each other"},
		"a thousand indexes":              {on("index", func(b *bench) { b.wide(1000) }), "there are more than 256 manifests"},
		"a manifest that is too large":    {on("index", func(b *bench) { b.index.Manifests[0].Size = 1 << 40 }), "has 1099511627776 bytes, more than 4194304"},
		"a manifest of another size":      {on("index", func(b *bench) { b.index.Manifests[0].Size++ }), "that the image says"},
		"another manifest":                {swap(theManifest, "{}"), "that the image says"},
		"another configuration":           {swap(theConfig, "{}"), "that the image says"},
		"a manifest that is missing":      {remove(theManifest), "the image does not have it"},
		"a configuration that is missing": {remove(theConfig), "the image does not have it"},
		"a layer that is missing":         {remove(theLayer), "the image does not have it"},
		"a manifest that is no JSON":      {on("index", func(b *bench) { b.index.Manifests[0] = b.blob(types.OCIManifestSchema1, []byte("<html>")) }), "is no manifest"},
		"a configuration that is no JSON": {on("manifest", func(b *bench) { b.manifest.Config = b.blob(types.OCIConfigJSON, []byte("<html>")) }), "is not JSON"},
		"an index that is no JSON":        {on("index", func(b *bench) { b.index.Manifests[0] = b.blob(types.OCIImageIndex, []byte("<html>")) }), "is no index of images"},
		"an index.json that is none":      {on("end", func(b *bench) { must.NoError(b.t, os.WriteFile(b.dir+"/index.json", []byte("x"), 0o644)) }), "index.json: is no index of images"},
		"an index.json that is too large": {on("end", func(b *bench) { must.NoError(b.t, os.Truncate(b.dir+"/index.json", 1<<40)) }), "index.json: has 1099511627776 bytes"},
		"a fifo": {on("end", func(b *bench) {
			must.NoError(b.t, os.Remove(b.path(theLayer(b))))
			must.NoError(b.t, syscall.Mkfifo(b.path(theLayer(b)), 0o644))
		}), "is not a regular file"},
		"a link that leads out": {on("end", func(b *bench) {
			must.NoError(b.t, os.Remove(b.path(theConfig(b))))
			must.NoError(b.t, os.Symlink("/etc/passwd", b.path(theConfig(b))))
		}), "path escapes"},
		"a layer that is no archive":    {on("config", func(b *bench) { b.store([]byte(strings.Repeat("<html>", 200))) }), "it is no tar archive"},
		"a layer that is empty":         {on("config", func(b *bench) { b.store(nil) }), "it is empty"},
		"an archive that is cut off":    {on("config", func(b *bench) { b.store(b.archive[:512]) }), "is cut off"},
		"gzip that is cut off":          {on("config", func(b *bench) { b.data = b.data[:len(b.data)-9]; b.manifest.Layers[0] = b.layer() }), "gzip data is cut off"},
		"gzip that is damaged":          {on("config", func(b *bench) { b.data[len(b.data)-5] ^= 1; b.manifest.Layers[0] = b.layer() }), "gzip data is damaged"},
		"gzip with something behind it": {on("config", func(b *bench) { b.data = append(b.data, "more"...); b.manifest.Layers[0] = b.layer() }), "gzip data is"},
		"a frame of zstd that is none": {on("config", func(b *bench) {
			b.data = []byte("\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff")
			b.manifest.Layers[0] = b.layer()
		}), ""},
		"a bomb": {on("config", func(b *bench) {
			b.store(ocitest.Archive(ocitest.File{Name: "a", Content: strings.Repeat("\x00", 3<<20)}))
		}), "there is more than Options allow"},
		"a bomb behind the archive's end": {on("config", func(b *bench) { b.store(append(b.archive, make([]byte, 3<<20)...)) }), "is larger than allowed when it is decompressed"},
		"a path out of the tree":          {on("config", func(b *bench) { b.store(ocitest.Archive(ocitest.File{Name: "../../etc/x"})) }), `"../../etc/x": ".." is no name`},
		"a whiteout of nothing":           {on("config", func(b *bench) { b.store(ocitest.Archive(ocitest.File{Name: ".wh.x"})) }), "a whiteout of nothing"},
		"a working directory in a file":   {on("config", func(b *bench) { b.config.Config.WorkingDir = "/a/b" }), `working directory /a/b: "a", which it is in, is no directory`},
		"a working directory above":       {on("config", func(b *bench) { b.config.Config.WorkingDir = "../../a" }), "working directory /a: "},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.write(c.at)
			o := amd64(t)
			o.MaxBytes = 2 << 20
			i, err := Open(t.Context(), "oci:"+b.dir, o)
			if err == nil {
				_, err = i.Tree(t.Context(), zstream.TarOptions{Spool: o.Spool}, nil)
				must.NoError(t, i.Close())
			}
			must.Error(t, err)
			must.ErrorContains(t, err, c.want)
			must.Less(t, 1000, len(err.Error()))
			left, err := os.ReadDir(o.Spool)
			must.NoError(t, err)
			must.SliceEmpty(t, left)
		})
	}
}

// store makes the layer that of an archive, whose digests are true.
func (b *bench) store(archive []byte) {
	b.setLayer(archive)
	b.config.RootFS.DiffIDs[0], b.manifest.Layers[0] = sum(archive), b.layer()
}

// many repeats the layer.
func (b *bench) many(n int) {
	for range n - 1 {
		b.manifest.Layers = append(b.manifest.Layers, b.manifest.Layers[0])
		b.config.RootFS.DiffIDs = append(b.config.RootFS.DiffIDs, b.config.RootFS.DiffIDs[0])
	}
}

// nest puts the index into others.
func (b *bench) nest(n int) {
	for range n {
		b.index.Manifests = []v1.Descriptor{b.json(types.OCIImageIndex, b.index)}
	}
}

// wide has the index have many others.
func (b *bench) wide(n int) {
	inner := b.index
	b.index.Manifests = nil
	for i := range n {
		inner.Annotations = map[string]string{"n": fmt.Sprint(i)}
		b.index.Manifests = append(b.index.Manifests, b.json(types.OCIImageIndex, inner))
	}
}

// FuzzLayer reads a layer as it is stored: compressed or not, and whatever else.
func FuzzLayer(f *testing.F) {
	archive := ocitest.Archive(ocitest.File{Name: "a", Content: "b"}, ocitest.File{Name: ".wh..wh..opq"})
	f.Add(archive)
	f.Add(zip(archive))
	f.Add(zip(archive)[:30])
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := zstream.NewLayers(zstream.TarOptions{MaxBytes: 1 << 20, MaxEntries: 1000, MaxMetadata: 1 << 20})
		must.NoError(t, err)
		defer tree.Close()
		left := int64(1 << 20)
		digest, _, _ := v1.SHA256(bytes.NewReader(data))
		l := layer{digest: digest, size: int64(len(data)), open: opener(data), diffID: digest}
		if l.apply(t.Context(), tree, &counter{}, &left) == nil && (len(data) < 2 || data[0] == 0x1f) {
			t.Error("a compressed layer has its own digest")
		}
	})
}
