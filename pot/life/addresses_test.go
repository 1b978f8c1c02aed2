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
	"nomad-driver-pot/pot/potconf"
)

// dirsOnly implements Dir of pot.Cloner alone, for plain directories below dir.
type dirsOnly struct {
	pot.Cloner
	dir string
}

func (d dirsOnly) Dir(_ context.Context, name string) (string, error) {
	path := filepath.Join(d.dir, name)
	_, err := os.Stat(path)
	return path, err
}

// recorded returns Pots with a record, a pot.conf and an allocated address for each of pots.
func recorded(t *testing.T, pots map[pot.Name]string) *Pots {
	t.Helper()
	dir := t.TempDir()
	ps := Open(pot.Host{Datasets: dirsOnly{dir: filepath.Join(dir, "jails")}}, potconf.Config{Dir: dir})
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

// addressFile returns the path of the file that allocates an address.
func addressFile(ps *Pots, addr netip.Addr) string {
	return filepath.Join(filepath.Dir(ps.dir), "addresses", addr.String())
}

// A crash may leave the file of an address empty or cut short.
func TestAddresses_damaged(t *testing.T) {
	leak.Check(t)
	addr := netip.MustParseAddr("10.0.0.2")
	for state, size := range map[string]int64{"empty": 0, "incomplete": 4} {
		damage := func(t *testing.T, path string) { must.NoError(t, os.Truncate(path, size)) }
		t.Run("an address with an "+state+" file that no pot has can be claimed", func(t *testing.T) {
			ps := recorded(t, map[pot.Name]string{"web_0001": "10.0.0.2"})
			damage(t, addressFile(ps, addr))
			must.NoError(t, os.RemoveAll(filepath.Join(ps.dir, "web_0001")))
			must.NoError(t, os.RemoveAll(filepath.Join(filepath.Dir(ps.dir), "jails", "web_0001")))
			must.NoError(t, ps.addresses.Claim(addr, "other"))
		})
		t.Run("an address with an "+state+" file belongs to the pot whose record has it", func(t *testing.T) {
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
		t.Run("with an "+state+" file and record, the address belongs to the pot whose pot.conf has it", func(t *testing.T) {
			ps := recorded(t, map[pot.Name]string{"web_0001": "10.0.0.2"})
			damage(t, addressFile(ps, addr))
			damage(t, filepath.Join(ps.dir, "web_0001", recordFile))
			must.ErrorIs(t, ps.addresses.Claim(addr, "other"), fs.ErrExist)
		})
		t.Run("an "+state+" file is removed when its pot's address is released", func(t *testing.T) {
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
		t.Run("an address can be allocated if the file of the last one is "+state, func(t *testing.T) {
			ps, n := recorded(t, nil), pot.Network{Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1")}
			_, err := ps.addresses.Allocate(t.Context(), "a", n, network.InUse{})
			must.NoError(t, err)
			damage(t, filepath.Join(filepath.Dir(ps.dir), "addresses", "last-10.0.0.0-24"))
			_, err = ps.addresses.Allocate(t.Context(), "b", n, network.InUse{})
			must.NoError(t, err)
		})
	}
}
