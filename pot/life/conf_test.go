package life

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

func TestWriteConf(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	r := &record{
		Spec:    pot.Spec{Name: "web", Hostname: "web.example.org", Network: pot.PublicBridge},
		Address: netip.MustParseAddr("10.192.0.2"), Attributes: conf.Attributes{"mlock": "YES"},
	}
	must.NoError(t, writeConf(dir, r))
	for _, line := range []string{"pot.type=single\n", "pot.attr.mlock=YES\n", "pot.attr.sysvshm=new\n", "pot.attr.persistent=NO\n", "vnet=true\n", "host.hostname=\"web.example.org\"\n", "network_type=public-bridge\n", "ip=10.192.0.2\n"} {
		must.FileContains(t, filepath.Join(dir, "conf/pot.conf"), line)
	}
	must.FileExists(t, filepath.Join(dir, "conf/fscomp.conf"))
}

func TestWriteEtc(t *testing.T) {
	leak.Check(t)
	outside := filepath.Join(t.TempDir(), "victim")
	must.NoError(t, os.WriteFile(outside, []byte("safe"), 0o644))
	s := &pot.Spec{Name: "web", DNS: pot.DNS{Servers: []string{"1.1.1.1"}, Searches: []string{"a", "b"}, Options: []string{"ndots:2"}}}

	t.Run("a link in the place of a file is replaced, not followed", func(t *testing.T) {
		tree := t.TempDir()
		must.NoError(t, os.Mkdir(filepath.Join(tree, "etc"), 0o755))
		for _, name := range []string{"etc/hosts", "etc/resolv.conf"} {
			must.NoError(t, os.Symlink(outside, filepath.Join(tree, name)))
		}
		must.NoError(t, writeEtc(tree, s, pot.DefaultNetwork.Gateway))
		must.FileContains(t, outside, "safe")
		must.FileContains(t, filepath.Join(tree, "etc/hosts"), "10.192.0.1 web\n")
		must.FileContains(t, filepath.Join(tree, "etc/resolv.conf"), "search a b\nnameserver 1.1.1.1\noptions ndots:2\n")
	})
	t.Run("a link in the place of etc that leads out of the tree is refused", func(t *testing.T) {
		tree := t.TempDir()
		must.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(tree, "etc")))
		must.ErrorContains(t, writeEtc(tree, s, pot.DefaultNetwork.Gateway), "escapes")
		must.FileNotExists(t, filepath.Join(filepath.Dir(outside), "hosts"))
	})
	t.Run("etc is created in an image without it", func(t *testing.T) {
		tree := t.TempDir()
		must.NoError(t, writeEtc(tree, s, pot.DefaultNetwork.Gateway))
		must.FileExists(t, filepath.Join(tree, "etc/hosts"))
	})
}

func TestLookupUser(t *testing.T) {
	leak.Check(t)
	tree := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(tree, "etc"), 0o755))
	must.NoError(t, os.WriteFile(filepath.Join(tree, "etc/passwd"), []byte("root:*:0:0:Charlie:/root:/bin/sh\nweb:*:80:81:w:/www:/bin/sh\n"), 0o644))
	must.NoError(t, os.WriteFile(filepath.Join(tree, "etc/group"), []byte("web:*:81:\nlog:*:90:web\n"), 0o644))
	for who, want := range map[string]struct {
		uid, gid   uint32
		home, name string
	}{
		"": {0, 0, "/root", "root"}, "root": {0, 0, "/root", "root"}, "web": {80, 81, "/www", "web"}, "80": {80, 81, "/www", "web"},
		"1000:1001": {1000, 1001, "/", ""}, "web:log": {80, 90, "/www", "web"}, "80:90": {80, 90, "/www", "web"},
	} {
		u, err := lookupUser(tree, who)
		must.NoError(t, err, must.Sprint(who))
		must.Eq(t, want.uid, u.UID)
		must.Eq(t, want.gid, u.GID)
		must.Eq(t, want.home, u.home)
		must.Eq(t, want.name, u.name)
	}
	for _, who := range []string{"nosuch", "web:nosuch", "-1"} {
		_, err := lookupUser(tree, who)
		must.ErrorContains(t, err, "in the pot")
	}
	t.Run("a passwd that is not a regular file is refused", func(t *testing.T) {
		tree := t.TempDir()
		must.NoError(t, os.MkdirAll(filepath.Join(tree, "etc/passwd"), 0o755))
		_, err := lookupUser(tree, "root")
		must.ErrorContains(t, err, "etc/passwd: is not a regular file in the pot")
	})
}
