package life

import (
	"context"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/network"
)

// dirsOnly are datasets that are directories, of which there is nothing to know but where
// they are.
type dirsOnly struct {
	pot.Cloner
	dir string
}

func (d dirsOnly) Dir(_ context.Context, name string) (string, error) {
	path := filepath.Join(d.dir, name)
	_, err := os.Stat(path)
	return path, err
}

// recorded are pots with records, each of one address.
func recorded(t *testing.T, pots map[pot.Name]string) *Pots {
	t.Helper()
	dir := t.TempDir()
	ps := Open(pot.Host{Datasets: dirsOnly{dir: filepath.Join(dir, "jails")}}, pot.Config{Dir: dir})
	for name, addr := range pots {
		must.NoError(t, os.MkdirAll(filepath.Join(ps.dir, string(name)), 0o700))
		must.NoError(t, os.MkdirAll(filepath.Join(dir, "jails", string(name), "conf"), 0o700))
		must.NoError(t, os.WriteFile(filepath.Join(dir, "jails", string(name), conf.PotConf), []byte("ip="+addr+"\n"), 0o600))
		must.NoError(t, ps.addresses.Claim(netip.MustParseAddr(addr), name))
		r := &record{Version: recordVersion, Spec: pot.Spec{Name: name}, Address: netip.MustParseAddr(addr), Created: time.Now()}
		must.NoError(t, r.write(filepath.Join(ps.dir, string(name))))
	}
	return ps
}

// addressFile is the file of an address that is allocated.
func addressFile(ps *Pots, addr netip.Addr) string {
	return filepath.Join(filepath.Dir(ps.dir), "addresses", addr.String())
}

// A crash may leave the file of an address empty, or cut.
func TestAddresses_damaged(t *testing.T) {
	leak.Check(t)
	addr := netip.MustParseAddr("10.0.0.2")
	for state, size := range map[string]int64{"empty": 0, "cut": 4} {
		damage := func(t *testing.T, path string) { must.NoError(t, os.Truncate(path, size)) }
		t.Run(state+" file of an address that no pot has is nobody's", func(t *testing.T) {
			ps := recorded(t, map[pot.Name]string{"web_0001": "10.0.0.2"})
			damage(t, addressFile(ps, addr))
			must.NoError(t, os.RemoveAll(filepath.Join(ps.dir, "web_0001")))
			must.NoError(t, os.RemoveAll(filepath.Join(filepath.Dir(ps.dir), "jails", "web_0001")))
			must.NoError(t, ps.addresses.Claim(addr, "other"))
		})
		t.Run(state+" file is that of the pot whose record has the address", func(t *testing.T) {
			ps := recorded(t, map[pot.Name]string{"web_0001": "10.0.0.2"})
			damage(t, addressFile(ps, addr))
			must.ErrorIs(t, ps.addresses.Claim(addr, "other"), fs.ErrExist)
			n := pot.Network{Prefix: netip.MustParsePrefix("10.0.0.0/29"), Gateway: netip.MustParseAddr("10.0.0.1")}
			for range 3 {
				got, err := ps.addresses.Allocate(t.Context(), "other", n, network.InUse{})
				must.NoError(t, err)
				must.NotEq(t, addr, got)
			}
			must.NoError(t, ps.addresses.Claim(addr, "web_0001"))
			must.ErrorIs(t, ps.addresses.Claim(addr, "other"), fs.ErrExist)
		})
		t.Run(state+" file and a record that is "+state+" are those of the pot whose pot.conf has the address", func(t *testing.T) {
			ps := recorded(t, map[pot.Name]string{"web_0001": "10.0.0.2"})
			damage(t, addressFile(ps, addr))
			damage(t, filepath.Join(ps.dir, "web_0001", recordFile))
			must.ErrorIs(t, ps.addresses.Claim(addr, "other"), fs.ErrExist)
		})
		t.Run(state+" file goes with its pot", func(t *testing.T) {
			for _, release := range []func(*Pots) error{
				func(ps *Pots) error { return ps.addresses.Release(addr, "web_0001") },
				func(ps *Pots) error { return ps.addresses.ReleaseByOwner("web_0001") },
			} {
				ps := recorded(t, map[pot.Name]string{"web_0001": "10.0.0.2", "db_0001": "10.0.0.3"})
				damage(t, addressFile(ps, addr))
				must.NoError(t, release(ps))
				must.FileNotExists(t, addressFile(ps, addr))
				must.FileExists(t, addressFile(ps, netip.MustParseAddr("10.0.0.3")))
			}
		})
		t.Run("an "+state+" note of the newest is no hindrance", func(t *testing.T) {
			ps, n := recorded(t, nil), pot.Network{Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1")}
			_, err := ps.addresses.Allocate(t.Context(), "a", n, network.InUse{})
			must.NoError(t, err)
			damage(t, filepath.Join(filepath.Dir(ps.dir), "addresses", "last-10.0.0.0-24"))
			_, err = ps.addresses.Allocate(t.Context(), "b", n, network.InUse{})
			must.NoError(t, err)
		})
	}
}
