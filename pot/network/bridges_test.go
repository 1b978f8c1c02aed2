package network

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

func TestBridges(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	write := func(name, text string) { must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)) }
	write("db", "net=10.192.8.0/29\ngateway=10.192.8.1\nname=db\n")
	write("bad", "net=10.0.0.0\n")
	outside := filepath.Join(t.TempDir(), "outside")
	must.NoError(t, os.WriteFile(outside, []byte("net=10.0.0.0/24\ngateway=10.0.0.1\n"), 0o644))
	must.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	b := Bridges{dir}

	n, err := b.Find("db")
	must.NoError(t, err)
	must.Eq(t, pot.Network{Prefix: netip.MustParsePrefix("10.192.8.0/29"), Gateway: netip.MustParseAddr("10.192.8.1")}, n)
	_, err = b.Find("nosuch")
	must.ErrorIs(t, err, fs.ErrNotExist)
	must.EqError(t, err, "no such bridge: nosuch")
	_, err = b.Find("bad")
	must.ErrorContains(t, err, "bridge bad: network: must be as in 10.192.0.0/10")
	_, err = b.Find("link")
	must.EqError(t, err, "bridge link: path escapes from parent")
	_, err = b.Find("../db")
	must.ErrorContains(t, err, "bridge: must be letters")

	all, err := b.Networks()
	must.NoError(t, err)
	must.Eq(t, []netip.Prefix{netip.MustParsePrefix("10.192.8.0/29")}, all)

	for _, none := range []Bridges{{}, {filepath.Join(dir, "nosuch")}} {
		all, err := none.Networks()
		must.NoError(t, err)
		must.SliceEmpty(t, all)
		_, err = none.Find("db")
		must.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func FuzzReadBridge(f *testing.F) {
	f.Add("net=10.192.8.0/29\ngateway=10.192.8.1\nname=db\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := readBridge(strings.NewReader(text))
		if err == nil && (!n.Prefix.Contains(n.Gateway) || after(n, n.Prefix.Addr()) == n.Gateway) {
			t.Fatalf("%+v", n)
		}
	})
}
