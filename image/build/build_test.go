package build_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/skein"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// buildOptions are for an image of what is in from.
func buildOptions(t testing.TB, from string) build.BuildOptions {
	t.Helper()
	return build.BuildOptions{
		Name: "web", Tag: "1.0", Dir: t.TempDir(), From: from, Spool: t.TempDir(), Created: time.Unix(1795392222, 0),
		Conf: conf.New{Base: "14.2", Command: "/bin/web -p 80", Attributes: map[string]string{"persistent": "off"}},
	}
}

// webTree is a small tree of many blocks.
func webTree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must.NoError(t, os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755))
	r := rand.New(rand.NewSource(1))
	words := make([]byte, 700_000)
	for i := range words {
		words[i] = "etaoin shrdlu\n"[r.Intn(14)]
	}
	must.NoError(t, os.WriteFile(filepath.Join(dir, "usr/bin/web"), words, 0o755))
	must.NoError(t, os.Symlink("usr/bin", filepath.Join(dir, "bin")))
	return dir
}

func unpack(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	must.NoError(t, err)
	defer f.Close()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	defer root.Close()
	_, err = zstream.Extract(t.Context(), xz.NewReader(f), root, zstream.Options{})
	must.NoError(t, err)
	return dir
}

// signer signs with a text.
type signer string

func (s signer) Sign(message []byte) ([]byte, error) {
	if s == "" {
		return nil, errors.New("no key")
	}
	return append([]byte(s), message...), nil
}

func TestBuild(t *testing.T) {
	leak.Check(t)
	o := buildOptions(t, webTree(t))
	o.Signer = signer("signed: ")
	var last build.BuildProgress
	o.Progress = func(p build.BuildProgress) { last = p }
	a, err := build.Build(t.Context(), o)
	must.NoError(t, err)
	must.Eq(t, []string{"web_1.0.xz", "web_1.0.xz.meta", "web_1.0.xz.skein", "web_1.0.xz.skein.sig"}, imagetest.Names(t, o.Dir))
	must.Eq(t, "1795392222", a.Snapshot)
	must.Eq(t, 4, a.Files)
	must.Eq(t, last.Total, last.Done)
	must.Greater(t, 700_000, last.Total)

	t.Run("its digest is of the two files", func(t *testing.T) {
		h := skein.New()
		for _, path := range []string{a.XZ, a.Meta} {
			data, err := os.ReadFile(path)
			must.NoError(t, err)
			h.Write(data)
		}
		text, err := os.ReadFile(a.Skein)
		must.NoError(t, err)
		digest, err := image.ParseSkein(text)
		must.NoError(t, err)
		must.Eq(t, a.Digest, digest)
		must.Eq(t, h.Sum(nil), digest[:])
		signed, err := os.ReadFile(a.Signature)
		must.NoError(t, err)
		must.Eq(t, "signed: "+string(text), string(signed))
	})
	t.Run("it unpacks to what it was made from", func(t *testing.T) {
		dir := unpack(t, a.XZ)
		must.FileContains(t, filepath.Join(dir, "conf/pot.conf"), "pot.cmd=/bin/web -p 80\n")
		want, err := os.ReadFile(filepath.Join(o.From, "bin/web"))
		must.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, "m/bin/web"))
		must.NoError(t, err)
		must.True(t, bytes.Equal(want, got))
	})
	t.Run("it is not made over another", func(t *testing.T) {
		_, err := build.Build(t.Context(), o)
		must.ErrorIs(t, err, fs.ErrExist)
	})
	t.Run("it replaces another, with the same bytes", func(t *testing.T) {
		again := o
		again.Replace, again.Signer = true, nil
		b, err := build.Build(t.Context(), again)
		must.NoError(t, err)
		must.Eq(t, a.Digest, b.Digest)
		must.Eq(t, []string{"web_1.0.xz", "web_1.0.xz.meta", "web_1.0.xz.skein"}, imagetest.Names(t, o.Dir))
	})
}

// TestBuild_served has what was built fetched as any other image.
func TestBuild_served(t *testing.T) {
	leak.Check(t)
	o := buildOptions(t, webTree(t))
	a, err := build.Build(t.Context(), o)
	must.NoError(t, err)
	images := store.NewStore(fetch.NewCache(t.TempDir(), fetch.Options{}), imagetest.NewDatasets())
	ref := image.Ref{Source: "file://" + o.Dir, Name: "web", Tag: "1.0"}
	snapshot, err := images.Ensure(t.Context(), ref, image.PullOptions{Digest: a.Digest}, nil)
	must.NoError(t, err)
	must.Eq(t, store.Imported{Name: "web_1_0", Digest: a.Digest}, snapshot)
}

// tarOf is a tar archive of a directory.
func tarOf(t testing.TB, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	must.NoError(t, w.AddFS(os.DirFS(filepath.Join(dir, "usr"))))
	must.NoError(t, w.Close())
	return out.Bytes()
}

func TestBuild_archives(t *testing.T) {
	leak.Check(t)
	plain := tarOf(t, webTree(t))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write(plain)
	must.NoError(t, err)
	must.NoError(t, z.Close())
	var digest image.Digest
	for name, data := range map[string][]byte{"a.tar": plain, "a.txz": imagetest.XZ(plain), "a.tgz": zipped.Bytes()} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			must.NoError(t, os.WriteFile(path, data, 0o600))
			o := buildOptions(t, path)
			a, err := build.Build(t.Context(), o)
			must.NoError(t, err)
			must.SliceEmpty(t, imagetest.Names(t, o.Spool))
			must.FileExists(t, filepath.Join(unpack(t, a.XZ), "m/bin/web"))
			if digest == (image.Digest{}) {
				digest = a.Digest
			}
			must.Eq(t, digest, a.Digest)
		})
	}
	t.Run("one that is damaged makes nothing", func(t *testing.T) {
		o := buildOptions(t, "")
		bad := imagetest.XZ(plain)
		bad[len(bad)-40] ^= 1
		o.Archive = bytes.NewReader(bad)
		_, err := build.Build(t.Context(), o)
		must.ErrorContains(t, err, "build web_1.0: archive: ")
		must.SliceEmpty(t, imagetest.Names(t, o.Dir))
	})
}

func TestBuild_nothingIsLeft(t *testing.T) {
	leak.Check(t)
	tree := webTree(t)
	enough := errors.New("enough")
	fails, err := exec.LookPath("false")
	must.NoError(t, err)
	for name, c := range map[string]struct {
		err    string
		change func(*build.BuildOptions)
	}{
		"a signer that fails": {"build web_1.0: sign: no key", func(o *build.BuildOptions) { o.Signer = signer("") }},
		"an xz that fails":    {"build web_1.0: " + fails + ": exit status 1: ", func(o *build.BuildOptions) { o.XZ.Command = fails }},
		"no tree":             {"build web_1.0: stat /nonexistent: no such file or directory", func(o *build.BuildOptions) { o.From = "/nonexistent" }},
		"a bad tag": {`build web_../1: tag: must be letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_', not "../1"`,
			func(o *build.BuildOptions) { o.Tag = "../1" }},
	} {
		t.Run(name, func(t *testing.T) {
			o := buildOptions(t, tree)
			c.change(&o)
			_, err := build.Build(t.Context(), o)
			must.EqError(t, err, c.err)
			must.SliceEmpty(t, imagetest.Names(t, o.Dir))
		})
	}
	for _, command := range []string{"", "-"} {
		t.Run("cancelled, with xz "+command, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			o := buildOptions(t, tree)
			o.XZ.Command = command
			o.Progress = func(build.BuildProgress) { cancel(enough) }
			_, err := build.Build(ctx, o)
			must.ErrorIs(t, err, enough)
			must.SliceEmpty(t, imagetest.Names(t, o.Dir))
		})
	}
}

func TestPotConf(t *testing.T) {
	leak.Check(t)
	o := buildOptions(t, webTree(t))
	o.Conf = conf.New{
		Base: "14.2", Ports: []string{"80", "udp:53"}, Env: []string{`A="x" y`},
		Attributes: map[string]string{"no-rc-script": "on", "exec_stop": "/bin/sh /etc/rc.shutdown", "localhost-tunnel": "YES", "children": "3"},
	}
	a, err := build.Build(t.Context(), o)
	must.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(unpack(t, a.XZ), "conf/pot.conf"))
	must.NoError(t, err)
	must.Eq(t, `pot.level=0
pot.type=single
pot.base=14.2
pot.potbase=
pot.dns=inherit
pot.cmd=sh /etc/rc
host.hostname="web"
osrelease="14.2-RELEASE"
pot.attr.no-rc-script=YES
pot.attr.persistent=YES
pot.attr.start-at-boot=NO
pot.attr.prunable=NO
pot.attr.no-tmpfs=NO
pot.attr.enforce_statfs=2
pot.attr.mount=NO
pot.attr.fdescfs=NO
pot.attr.linprocfs=NO
pot.attr.nullfs=NO
pot.attr.procfs=NO
pot.attr.tmpfs=NO
pot.attr.zfs=NO
pot.attr.raw_sockets=NO
pot.attr.sysvshm=new
pot.attr.sysvsem=new
pot.attr.sysvmsg=new
pot.attr.children=3
pot.attr.mlock=NO
pot.attr.devfs_ruleset=4
pot.attr.exec_stop=/bin/sh /etc/rc.shutdown
pot.attr.stop_timeout=10
pot.attr.localhost-tunnel=YES
pot.stack=ipv4
network_type=inherit
vnet=false
pot.export.ports=80 udp:53
pot.env="A=\"x\" y"
`, string(text))

	t.Run("all problems are reported", func(t *testing.T) {
		err := conf.New{
			Base: "14.2 ", Command: "a\nb", Env: []string{"x"}, Ports: []string{"80", "udp:1:65535", "80:", "tcp:udp:80", "0", "1:2:3"},
			Attributes: map[string]string{"mlock": "maybe", "children": "-1", "sysvshm": "old", "to-be-pruned": "YES"},
		}.Validate()
		must.EqError(t, err, strings.Join([]string{
			`base: must be a release, as in 14.2 or 15.0-RC1, not "14.2 "`,
			`command: must be one line, not "a\nb"`,
			`attributes: no such attribute: "to-be-pruned"`,
			`attributes.sysvshm: must be one of new, inherit, disable, not "old"`,
			`attributes.children: must be a number, at most 999998, not "-1"`,
			`attributes.mlock: must be YES or NO, not "maybe"`,
			`ports[2]: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not "80:"`,
			`ports[3]: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not "tcp:udp:80"`,
			`ports[4]: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not "0"`,
			`ports[5]: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not "1:2:3"`,
			`env[0]: must be VAR=value, not "x"`,
		}, "\n"))
	})
}
