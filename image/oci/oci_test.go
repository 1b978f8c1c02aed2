package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	registries "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/oci/ocitest"
	"nomad-driver-pot/image/zstream"
)

// hello is an image with two layers, of which the upper removes a file.
func hello() v1.Image {
	return ocitest.New("freebsd", "amd64", v1.Config{Entrypoint: []string{"/bin/hello"}, WorkingDir: "/srv/app"},
		ocitest.Layer(ocitest.Archive(ocitest.File{Name: "bin/hello", Content: "hello"}, ocitest.File{Name: "bin/old", Content: "old"})),
		ocitest.Layer(ocitest.Archive(ocitest.File{Name: "bin/.wh.old"}, ocitest.File{Name: "hi", Header: tar.Header{Typeflag: tar.TypeLink, Linkname: "bin/hello"}})))
}

const helloFiles = "bin/ bin/hello=hello hi=hello srv/ srv/app/"

// amd64 are options for the images here.
func amd64(t testing.TB) Options { return Options{Platform: "freebsd/amd64", Spool: t.TempDir()} }

// tree lists the files of an image: directories with a slash, files with their contents.
func tree(t testing.TB, i *Image) (string, error) {
	t.Helper()
	files, err := i.Tree(t.Context(), zstream.TarOptions{Spool: t.TempDir(), Missing: i.Created()}, nil)
	if err != nil {
		return "", err
	}
	defer files.Close()
	files.SetOwner(uint32(os.Getuid()), uint32(os.Getgid()))
	var stream bytes.Buffer
	_, err = zstream.Write(t.Context(), &stream, zstream.WriteOptions{Dataset: "z/x", Snapshot: "1", Created: i.Created()},
		zstream.FileSystem{Files: files})
	must.NoError(t, err)
	dir, err := os.OpenRoot(t.TempDir())
	must.NoError(t, err)
	defer dir.Close()
	_, err = zstream.Extract(t.Context(), &stream, dir, zstream.Options{})
	must.NoError(t, err)
	var all []string
	must.NoError(t, fs.WalkDir(dir.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || path == ".":
		case d.IsDir():
			all = append(all, path+"/")
		case d.Type().IsRegular():
			data, _ := dir.ReadFile(path)
			all = append(all, path+"="+string(data))
		default:
			all = append(all, path)
		}
		return err
	}))
	return strings.Join(all, " "), nil
}

// open opens an image, which is closed with the test.
func open(t testing.TB, from string, o Options) *Image {
	t.Helper()
	i, err := Open(t.Context(), from, o)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, i.Close()) })
	return i
}

// serve returns the address of a registry.
func serve(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(registries.New(registries.Logger(quiet())))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// push pushes an image or an index to a registry.
func push(t testing.TB, to string, what any) {
	t.Helper()
	ref, err := name.ParseReference(to)
	must.NoError(t, err)
	transport := remote.WithTransport(closing(t))
	switch what := what.(type) {
	case v1.Image:
		must.NoError(t, remote.Write(ref, what, transport))
	case v1.ImageIndex:
		must.NoError(t, remote.WriteIndex(ref, what, transport))
	}
}

func TestOpen(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	image := hello()
	digest, err := image.Digest()
	must.NoError(t, err)
	id, err := image.ConfigName()
	must.NoError(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	ocitest.WriteLayout(at("layout"), "1.0", image)
	ocitest.ArchiveDir(at("layout"), at("layout.tar"))
	tag, err := name.NewTag("hello:1.0")
	must.NoError(t, err)
	must.NoError(t, tarball.WriteToFile(at("docker.tar"), tag, image))
	for _, file := range []string{"layout.tar", "docker.tar"} {
		data, err := os.ReadFile(at(file))
		must.NoError(t, err)
		must.NoError(t, os.WriteFile(at(file+".gz"), zip(data), 0o644))
		must.NoError(t, os.WriteFile(at(file+".xz"), imagetest.XZ(data), 0o644))
	}
	host := serve(t)
	push(t, host+"/team/hello:1.0", image)

	for _, c := range []struct{ from, digest string }{
		{"oci:" + at("layout"), digest.String()},
		{"oci:" + at("layout") + ":1.0", digest.String()},
		{"oci-archive:" + at("layout.tar"), digest.String()},
		{"oci-archive:" + at("layout.tar") + ":1.0", digest.String()},
		{"oci-archive:" + at("layout.tar.gz"), digest.String()},
		{"oci-archive:" + at("layout.tar.xz") + ":1.0", digest.String()},
		{"docker-archive:" + at("docker.tar"), id.String()},
		{"docker-archive:" + at("docker.tar") + ":hello:1.0", id.String()},
		{"docker-archive:" + at("docker.tar.gz"), id.String()},
		{"docker://" + host + "/team/hello:1.0", digest.String()},
		{"docker://" + host + "/team/hello@" + digest.String(), digest.String()},
	} {
		t.Run(strings.ReplaceAll(c.from, dir+"/", ""), func(t *testing.T) {
			i := open(t, c.from, amd64(t))
			must.Eq(t, c.digest, i.Digest)
			must.Eq(t, ocitest.Created, i.Created().UTC())
			got, err := tree(t, i)
			must.NoError(t, err)
			must.Eq(t, helloFiles, got)
			conf, warnings, err := i.Conf(conf.New{})
			must.NoError(t, err)
			must.SliceEmpty(t, warnings)
			must.Eq(t, "/bin/hello", conf.Command)
			must.Eq(t, "/srv/app", conf.WorkDir)
			must.Eq(t, c.digest, conf.OCIDigest)
		})
	}
}

func TestOpen_platform(t *testing.T) {
	leak.Check(t)
	host := serve(t)
	linux := ocitest.New("linux", "amd64", v1.Config{}, ocitest.Layer(ocitest.Archive(ocitest.File{Name: "linux"})))
	arm := ocitest.New("freebsd", "arm64", v1.Config{}, ocitest.Layer(ocitest.Archive(ocitest.File{Name: "arm"})))
	add := func(of v1.Image, os, arch, variant string) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: of, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: os, Architecture: arch, Variant: variant}}}
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(emptyIndex, types.OCIImageIndex),
		add(linux, "linux", "amd64", ""), add(hello(), "freebsd", "amd64", ""), add(arm, "freebsd", "arm64", "v8"), add(linux, "unknown", "unknown", ""))
	push(t, host+"/all:1", index)
	push(t, host+"/linux:1", linux)
	push(t, host+"/nested:1", mutate.AppendManifests(emptyIndex, mutate.IndexAddendum{Add: index}))
	for _, c := range []struct{ of, platform, want string }{
		{"all:1", "freebsd/amd64", helloFiles},
		{"all:1", "freebsd/x86_64", helloFiles},
		{"all:1", "freebsd/aarch64", "arm="},
		{"all:1", "freebsd/arm64/v8", "arm="},
		{"all:1", "linux/amd64", "linux="},
		{"nested:1", "freebsd/amd64", helloFiles},
	} {
		got, err := tree(t, open(t, "docker://"+host+"/"+c.of, Options{Platform: c.platform, Spool: t.TempDir()}))
		must.NoError(t, err)
		must.Eq(t, c.want, got, must.Sprint(c))
	}
	for _, c := range []struct{ of, platform, want string }{
		{"all:1", "freebsd/riscv64", "there is no image for freebsd/riscv64, only for freebsd/amd64, freebsd/arm64/v8, linux/amd64"},
		{"linux:1", "freebsd/amd64", "there is no image for freebsd/amd64, only for linux/amd64"},
		{"all:1", "freebsd", `platform: must be OS/ARCH or OS/ARCH/VARIANT, not "freebsd"`},
		{"none:1", "freebsd/amd64", "the registry has no such image"},
		{"all:1@sha256:1", "freebsd/amd64", "must be REGISTRY/REPO:TAG or REGISTRY/REPO@DIGEST"},
		{"ALL:1", "freebsd/amd64", "must be REGISTRY/REPO:TAG or REGISTRY/REPO@DIGEST"},
	} {
		_, err := Open(t.Context(), "docker://"+host+"/"+c.of, Options{Platform: c.platform})
		must.ErrorContains(t, err, c.want, must.Sprint(c))
	}
}

// Whatever the random package makes is read, in gzip, zstd and plain, from several tags.
func TestOpen_layout(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	made, err := random.Image(3000, 4)
	must.NoError(t, err)
	config, err := made.ConfigFile()
	must.NoError(t, err)
	config.OS, config.Architecture = "freebsd", "amd64"
	made, err = mutate.ConfigFile(made, config)
	must.NoError(t, err)
	ocitest.WriteLayout(dir, "random", made)
	archive := ocitest.Archive(ocitest.File{Name: "a", Content: "b"})
	ocitest.WriteLayout(dir, "plain", ocitest.New("freebsd", "amd64", v1.Config{}, stored(t, archive, archive, types.OCIUncompressedLayer)))
	z, err := zstd.NewWriter(nil)
	must.NoError(t, err)
	ocitest.WriteLayout(dir, "zstd", ocitest.New("freebsd", "amd64", v1.Config{}, stored(t, archive, z.EncodeAll(archive, nil), types.OCILayerZStd)))

	for tag, want := range map[string]string{"plain": "a=b", "zstd": "a=b"} {
		got, err := tree(t, open(t, "oci:"+dir+":"+tag, amd64(t)))
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	got, err := tree(t, open(t, "oci:"+dir+":random", amd64(t)))
	must.NoError(t, err)
	must.Eq(t, 4, strings.Count(got, "random_file"))
	for from, want := range map[string]string{
		"oci:" + dir:                   "there are several images: name one after a colon: plain, random, zstd",
		"oci:" + dir + ":2":            `no such tag: "2": the tags are plain, random, zstd`,
		"oci:" + dir + "/none":         "no such file or directory",
		"oci:" + dir + "/index.json":   "is not a directory",
		"oci:" + dir + "/blobs":        "is no OCI image layout: it has no index.json",
		"oci:":                         "a path must be set",
		"oci-archive:" + dir:           "is a directory, not an archive",
		"oci-archive:/etc/passwd":      "it is no tar archive",
		"docker-archive:/etc/passwd":   "it is no tar archive",
		"docker-daemon:x":              "must begin with oci:, oci-archive:, docker-archive: or docker://",
		"docker-archive:" + dir + "/x": "no such file or directory",
	} {
		_, err := Open(t.Context(), from, amd64(t))
		must.ErrorContains(t, err, from+": ", must.Sprint(from))
		must.ErrorContains(t, err, want)
	}
}

func TestImage_Tree_cancelled(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	ocitest.WriteLayout(dir, "1", hello())
	i := open(t, "oci:"+dir, amd64(t))
	gone := fmt.Errorf("it is not wanted any more")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	spool := t.TempDir()
	_, err := i.Tree(ctx, zstream.TarOptions{Spool: spool}, nil)
	must.ErrorIs(t, err, gone)
	left, err := os.ReadDir(spool)
	must.NoError(t, err)
	must.SliceEmpty(t, left)
}

func TestImage_Tree_progress(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	ocitest.WriteLayout(dir, "1", hello())
	var last, of int64
	files, err := open(t, "oci:"+dir, amd64(t)).Tree(t.Context(), zstream.TarOptions{}, func(done, total int64) { last, of = done, total })
	must.NoError(t, err)
	must.NoError(t, files.Close())
	must.Positive(t, of)
	must.Eq(t, of, last)
}
