package oci

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/oci/ocitest"
	"nomad-driver-pot/image/zstream"
)

// freebsdLayer has files as FreeBSD's bsdtar writes them: paths that begin with ./, flags in
// extended headers, and one program with many names.
func freebsdLayer() []byte {
	dir := func(name string) ocitest.File {
		return ocitest.File{Name: "./" + name, Header: tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}}
	}
	flagged := func(name, flags string) ocitest.File {
		return ocitest.File{Name: "./" + name, Content: name, Header: tar.Header{PAXRecords: map[string]string{"SCHILY.fflags": flags}}}
	}
	return ocitest.Archive(dir(""), dir("bin/"), dir("rescue/"), dir("libexec/"), dir("dev/"), dir("var/"), dir("var/empty/"),
		flagged("bin/sh", "uarch"), flagged("libexec/ld-elf.so.1", "schg,uarch"),
		ocitest.File{Name: "./rescue/[", Content: "rescue"},
		ocitest.File{Name: "./rescue/sh", Header: ocitest.HardLink("./rescue/[")},
		ocitest.File{Name: "./rescue/ls", Header: ocitest.HardLink("./rescue/[")},
		ocitest.File{Name: "./usr/lib/libc.so", Header: tar.Header{Typeflag: tar.TypeSymlink, Linkname: "../../lib/libc.so.7"}})
}

const freebsdFiles = "bin/ bin/sh=bin/sh dev/ libexec/ libexec/ld-elf.so.1=libexec/ld-elf.so.1 rescue/ rescue/[=rescue rescue/ls=rescue rescue/sh=rescue " +
	"usr/ usr/lib/ usr/lib/libc.so var/ var/empty/"

// checkFreeBSD checks the files and the settings of an image with that layer, and returns the
// settings.
func checkFreeBSD(t *testing.T, i *Image) conf.New {
	t.Helper()
	got, err := tree(t, i)
	must.NoError(t, err)
	must.Eq(t, freebsdFiles, got)
	files, err := i.Tree(t.Context(), zstream.TarOptions{Spool: t.TempDir()}, nil)
	must.NoError(t, err)
	must.Eq(t, []string{"left out: file flags (of 2 files)"}, files.Warnings())
	must.NoError(t, files.Close())
	made, _, err := i.BaseConf()
	must.NoError(t, err)
	must.NoError(t, made.Validate())
	return made
}

// FreeBSD publishes archives of a layout, compressed with xz, with one image and its name in full
// as the tag; the configuration has its key cmd in lower case (FreeBSD, release/scripts/make-oci-image.sh).
func TestOpen_freebsdArchive(t *testing.T) {
	leak.Check(t)
	_, err := exec.LookPath("xz")
	need.Have(t, "xz", err == nil)
	for _, c := range []struct{ config, command string }{
		{`,"config":{"cmd":["/bin/sh"]}`, "/bin/sh"},
		{"", conf.DefaultCommand}, // of freebsd-static
	} {
		dir := t.TempDir()
		b := newBench(t)
		b.dir = filepath.Join(dir, "layout")
		b.setLayer(freebsdLayer())
		b.write(on("manifest", func(b *bench) {
			b.manifest.Config = b.blob(types.OCIConfigJSON, fmt.Appendf(nil, `{"created":"2025-06-06T01:23:45Z","architecture":"amd64","os":"freebsd"%s,`+
				`"rootfs":{"type":"layers","diff_ids":["%s"]},"history":[{"created":"2025-06-06T01:23:45Z","created_by":"make-oci-image.sh"}]}`, c.config, sum(b.archive)))
			b.index.Manifests = nil
		}))
		const tag = "freebsd-runtime:14.3-RELEASE-amd64"
		index := strings.Replace(string(must1(os.ReadFile(filepath.Join(b.dir, "index.json")))), `"size":`, `"annotations":{"org.opencontainers.image.ref.name":"`+tag+`"},"size":`, 1)
		must.NoError(t, os.WriteFile(filepath.Join(b.dir, "index.json"), []byte(index), 0o644))
		at := filepath.Join(dir, "image.tar")
		ocitest.ArchiveDir(b.dir, at)
		must.NoError(t, exec.Command("xz", "-0", at).Run())
		for _, from := range []string{at + ".xz", at + ".xz:" + tag} {
			made := checkFreeBSD(t, open(t, "oci-archive:"+from, amd64(t)))
			must.Eq(t, c.command, made.Command)
			must.Eq(t, "YES", made.Attributes["persistent"])
			must.Eq(t, map[bool]string{true: "YES", false: "NO"}[c.config != ""], made.Attributes["no-rc-script"])
		}
	}
}

// A registry has them as an index of both architectures, with the version of the system.
func TestOpen_freebsdRegistry(t *testing.T) {
	leak.Check(t)
	coder, err := zstd.NewWriter(nil)
	must.NoError(t, err)
	archive := freebsdLayer()
	byZstd := stored(t, archive, coder.EncodeAll(archive, nil), types.OCILayerZStd)
	var index = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"arm64", "amd64"} {
		image := ocitest.With("freebsd", arch, v1.Config{Cmd: []string{"/bin/sh"}, Env: []string{"PATH=/sbin:/bin"}}, func(c *v1.ConfigFile) {
			c.OSVersion = "14.3-RELEASE"
		}, byZstd, ocitest.Layer(ocitest.Archive(ocitest.File{Name: "./dev/", Header: tar.Header{Typeflag: tar.TypeDir}})))
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "freebsd", Architecture: arch, OSVersion: "14.3-RELEASE"},
		}})
	}
	at := serve(t) + "/freebsd/freebsd-runtime:14.3"
	push(t, at, index)
	made := checkFreeBSD(t, open(t, "docker://"+at, amd64(t)))
	must.Eq(t, "14.3", made.Base)
	must.Eq(t, "/bin/sh", made.Command)
	must.Eq(t, []string{"PATH=/sbin:/bin"}, made.Env)
	_, err = Open(t.Context(), "docker://"+at, Options{Platform: "linux/amd64"})
	must.ErrorContains(t, err, "only for freebsd/amd64, freebsd/arm64")
}

// A command belongs to a user and a directory; the boot of a pot without one belongs to root.
func TestImage_BaseConf(t *testing.T) {
	leak.Check(t)
	config := v1.Config{User: "www", WorkingDir: "/srv", Env: []string{"A=b"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}}
	i := &Image{Digest: sum(nil).String(), config: &v1.ConfigFile{Config: config}}
	made, _, err := i.BaseConf()
	must.NoError(t, err)
	must.Eq(t, conf.New{Command: conf.DefaultCommand, Env: config.Env, Ports: []string{"80"}, OCIDigest: i.Digest,
		Attributes: map[string]string{"no-rc-script": "NO", "persistent": "YES"}}, made)
	i.config.Config.Entrypoint = []string{"/bin/web"}
	made, _, err = i.BaseConf()
	must.NoError(t, err)
	must.Eq(t, "/bin/web www /srv", made.Command+" "+made.User+" "+made.WorkDir)
	must.Eq(t, map[string]string{"no-rc-script": "YES", "persistent": "YES"}, made.Attributes)
}

// must1 returns v; an error of the test's own files is a fault of the test.
func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
