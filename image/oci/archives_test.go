package oci

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/oci/ocitest"
)

// text is JSON of v.
func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	must.NoError(t, err)
	return string(data)
}

// link is an entry that stands for another.
func link(name, to string, kind byte) ocitest.File {
	return ocitest.File{Name: name, Header: tar.Header{Typeflag: kind, Linkname: to}}
}

// What docker save writes, as it is and as it must not be.
func TestOpen_dockerArchive(t *testing.T) {
	leak.Check(t)
	layer := ocitest.Archive(ocitest.File{Name: "a", Content: "b"})
	config := func(os string, layers ...v1.Hash) string {
		return text(t, v1.ConfigFile{OS: os, Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: layers}})
	}
	freebsd, linux := config("freebsd", sum(layer)), config("linux", sum(layer))
	id := sum([]byte(freebsd)).Hex
	manifest := func(all ...saved) ocitest.File { return ocitest.File{Name: "manifest.json", Content: text(t, all)} }
	is := func(config string, layers ...string) saved {
		return saved{Config: config, Layers: layers, RepoTags: []string{"web:1.0"}}
	}
	file := func(name, content string) ocitest.File { return ocitest.File{Name: name, Content: content} }
	base := []ocitest.File{file("c.json", freebsd), file("linux.json", linux), file(id+".json", freebsd), file("l/layer.tar", string(layer))}
	deep := make([]ocitest.File, 0, 20)
	for n := range 20 {
		deep = append(deep, link(fmt.Sprint("n", n), fmt.Sprint("n", n+1), tar.TypeSymlink))
	}
	for name, c := range map[string]struct {
		files []ocitest.File
		of    string // after the archive
		want  string // an error; "" for none
	}{
		"an image":                            {[]ocitest.File{manifest(is("c.json", "l/layer.tar"))}, "", ""},
		"a configuration named by its digest": {[]ocitest.File{manifest(is(id+".json", "l/layer.tar"))}, "", ""},
		"a layer that is a symbolic link":     {[]ocitest.File{link("m/layer.tar", "../l/layer.tar", tar.TypeSymlink), manifest(is("c.json", "m/layer.tar"))}, "", ""},
		"a layer that is a hard link":         {[]ocitest.File{link("m.tar", "l/layer.tar", tar.TypeLink), manifest(is("c.json", "m.tar"))}, "", ""},
		"another platform beside it":          {[]ocitest.File{manifest(is("linux.json", "l/layer.tar"), is("c.json", "l/layer.tar"))}, "", ""},
		"a name":                              {[]ocitest.File{manifest(saved{Config: "c.json", RepoTags: []string{"a:1"}}, is("c.json", "l/layer.tar"))}, ":web:1.0", ""},
		"a name without a tag":                {[]ocitest.File{manifest(saved{Config: "c.json", Layers: []string{"l/layer.tar"}, RepoTags: []string{"a:latest"}})}, ":a", ""},

		"a name in full": {[]ocitest.File{manifest(is("c.json", "l/layer.tar"))}, ":docker.io/library/web:1.0", ""},

		"no manifest":                        {nil, "", "is no archive of docker save: manifest.json: the image does not have it"},
		"a manifest that is none":            {[]ocitest.File{file("manifest.json", "<html>")}, "", "manifest.json: is no list of images"},
		"a manifest that is too large":       {[]ocitest.File{file("manifest.json", strings.Repeat(" ", maxManifest+1))}, "", "manifest.json: has 4194305 bytes"},
		"no image":                           {[]ocitest.File{manifest()}, "", "there is no image for freebsd/amd64"},
		"another platform":                   {[]ocitest.File{manifest(is("linux.json", "l/layer.tar"))}, "", "only for linux/amd64"},
		"another name":                       {[]ocitest.File{manifest(is("c.json", "l/layer.tar"))}, ":web:2.0", `no such image: "web:2.0": the images are web:1.0`},
		"two images":                         {[]ocitest.File{manifest(is("c.json", "l/layer.tar"), saved{Config: "c.json", RepoTags: []string{"b:1"}})}, "", "there are several images: name one after a colon: web:1.0, b:1"},
		"300 images":                         {[]ocitest.File{manifest(make([]saved, 300)...)}, "", ": "},
		"a configuration that is missing":    {[]ocitest.File{manifest(is("d.json"))}, "", "d.json: the image does not have it"},
		"a configuration that is none":       {[]ocitest.File{file("d.json", "<html>"), manifest(is("d.json"))}, "", "d.json: is no configuration of an image"},
		"a configuration of another digest":  {[]ocitest.File{file(id+".json", linux), manifest(is(id+".json", "l/layer.tar"))}, "", "is not what its name says: got sha256:"},
		"a layer that is missing":            {[]ocitest.File{manifest(is("c.json", "x"))}, "", "layer 1: x: the image does not have it"},
		"more layers than contents":          {[]ocitest.File{manifest(is("c.json", "l/layer.tar", "l/layer.tar"))}, "", "the manifest has 2 layers, and the configuration 1"},
		"a layer out of the archive":         {[]ocitest.File{manifest(is("c.json", "../../etc/passwd"))}, "", "the image does not have it"},
		"a link out of the archive":          {[]ocitest.File{link("m", "/etc/passwd", tar.TypeSymlink), manifest(is("c.json", "m"))}, "", "the image does not have it"},
		"links in a circle":                  {[]ocitest.File{link("m", "m", tar.TypeSymlink), manifest(is("c.json", "m"))}, "", "m: more than 8 links"},
		"many links":                         {append(deep, manifest(is("c.json", "n0"))), "", "n0: more than 8 links"},
		"a layer that is a device":           {[]ocitest.File{link("m", "", tar.TypeChar), manifest(is("c.json", "m"))}, "", "m: is not a regular file"},
		"a layer that is a directory":        {[]ocitest.File{link("m/", "", tar.TypeDir), manifest(is("c.json", "m"))}, "", "m: the image does not have it"},
		"a layer of another content":         {[]ocitest.File{file("m", string(ocitest.Archive())), manifest(is("c.json", "m"))}, "", "is not what the image says: want sha256:"},
		"a layer that is the archive's name": {[]ocitest.File{manifest(is("c.json", "manifest.json"))}, "", "is not what the image says: want sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), "x.tar")
			must.NoError(t, os.WriteFile(at, ocitest.Archive(append(base[:len(base):len(base)], c.files...)...), 0o644))
			i, err := Open(t.Context(), "docker-archive:"+at+c.of, amd64(t))
			got := ""
			if err == nil {
				got, err = tree(t, i)
				must.NoError(t, i.Close())
			}
			if c.want != "" {
				must.Error(t, err)
				must.ErrorContains(t, err, c.want)
				return
			}
			must.NoError(t, err)
			must.Eq(t, "a=b", got)
		})
	}
}

func TestOpen_archive_refused(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	whole := ocitest.Archive(ocitest.File{Name: "index.json", Content: strings.Repeat(" ", 2000)})
	many := make([]ocitest.File, maxArchiveEntries+1)
	for n := range many {
		many[n].Name = fmt.Sprint(n)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"an empty file":             {nil, "it is an empty archive"},
		"an archive of nothing":     {ocitest.Archive(), "it is an empty archive"},
		"no archive":                {[]byte(strings.Repeat("<html>", 200)), "it is no tar archive"},
		"an archive that is cut":    {whole[:1500], "the archive is cut off"},
		"more entries than allowed": {ocitest.Archive(many...), "there are more than 10000 entries"},
		"a cut gzip":                {zip(whole)[:20], "its gzip data is cut off"},
		"a gzip bomb":               {zip(make([]byte, 3<<20)), "is larger than allowed when it is decompressed"},
		"a cut xz":                  {[]byte("\xfd7zXZ\x00"), "xz"},
	} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			must.NoError(t, os.WriteFile(at, c.data, 0o644))
			o := amd64(t)
			o.MaxBytes = 2 << 20
			_, err := Open(t.Context(), "oci-archive:"+at, o)
			must.ErrorContains(t, err, c.want)
			left, err := os.ReadDir(o.Spool)
			must.NoError(t, err)
			must.SliceEmpty(t, left)
		})
	}
}
