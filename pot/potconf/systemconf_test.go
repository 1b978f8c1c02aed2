package potconf

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

func TestReadSystemConf(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		must.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	t.Run("a later file overrides an earlier one, and plain values are read as by a shell", func(t *testing.T) {
		c, err := ReadSystemConf(
			write("default", "# pot\nPOT_ZFS_ROOT=zroot/pot\nPOT_FS_ROOT=/opt/pot\nPOT_CACHE=/var/cache/pot\nPOT_EXTIF=em0\n"),
			write("own", "POT_EXTIF='vtnet0' # uplink\n POT_NETWORK=\"10.0.0.0/16\"\nPOT_GATEWAY=10.0.0.1\nPOT_ISOLATE_VNET_POTS=Yes\nX=`id`\n"),
			filepath.Join(dir, "nosuch"))
		must.NoError(t, err)
		must.Eq(t, SystemConf{ZFSRoot: "zroot/pot", Cache: "/var/cache/pot", Network: "10.0.0.0/16",
			Gateway: "10.0.0.1", Interface: "vtnet0", Isolate: true, FSRoot: "/opt/pot"}, c)
	})
	t.Run("each further uplink has its own network", func(t *testing.T) {
		c, err := ReadSystemConf(write("uplinks", "POT_EXTIF=em0\nPOT_EXTRA_EXTIF=\"em1 em2\"\nPOT_NETWORK_em1=192.168.0.0/16\nPOT_NETWORK_STACK=dual\n"+
			"POT_EXTIF_ADDR=192.0.2.1\nPOT_EXPORT_PORTS_PF_RULES_HOOK=/root/rules\nPOT_TMP=/var/tmp\n"))
		must.NoError(t, err)
		must.Eq(t, pot.Dual, c.NetworkStack())
		var h HostConfig
		var errs pot.FieldErrors
		h.apply(&c, &errs)
		must.SliceEmpty(t, errs)
		must.Eq(t, HostConfig{
			Interface: "em0", InterfaceAddr: netip.MustParseAddr("192.0.2.1"), PFRulesHook: "/root/rules", StatusDir: "/var/tmp",
			Extra: []Uplink{{"em1", netip.MustParsePrefix("192.168.0.0/16")}, {Interface: "em2"}},
		}, h)
	})
	t.Run("all that is wrong with uplinks is told", func(t *testing.T) {
		_, _, err := Configure([]string{write("wrong", "POT_EXTIF=-a\nPOT_EXTRA_EXTIF=em1\nPOT_NETWORK_em1=all\nPOT_EXTIF_ADDR=em0\n"+
			"POT_EXPORT_PORTS_PF_RULES_HOOK=rules\nPOT_TMP=tmp\nPOT_ZFS_ROOT=-r\nPOT_CACHE=cache\nPOT_GATEWAY=1.2.3.4\n")}, Overrides{Host: "freebsd"})
		must.EqError(t, err, `POT_EXTIF: must be an interface, not "-a"
POT_EXTIF_ADDR: must be an address, not "em0"
POT_NETWORK_em1: must be a network in CIDR notation, not "all"
POT_TMP: must be an absolute path, not "tmp"
POT_EXPORT_PORTS_PF_RULES_HOOK: must be an absolute path, not "rules"
POT_ZFS_ROOT: must be the name of a dataset, as in zroot/pot, not "-r"
POT_CACHE: must be an absolute path, not "cache"
POT_GATEWAY: must be a host address in 10.192.0.0/10, not "1.2.3.4"`)
	})
	for text, want := range map[string]string{
		"A=1\nPOT_ZFS_ROOT=$ROOT/pot": `/bad:2: POT_ZFS_ROOT: must be a plain value, not "$ROOT/pot": no shell reads this file`,
		`POT_EXTIF="em0`:              `/bad:1: POT_EXTIF: unterminated quote: "\"em0"`,
		"POT_CACHE=`pwd`":             "must be a plain value",
		"POT_CACHE=/a b":              "must be a plain value",
	} {
		t.Run(text+" is refused", func(t *testing.T) {
			_, err := ReadSystemConf(write("bad", text))
			must.ErrorContains(t, err, want)
		})
	}
}

func TestConfigure(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "pot.conf")
	must.NoError(t, os.WriteFile(file, []byte("POT_ZFS_ROOT=tank/pot\nPOT_NETWORK=10.2.0.0/16\nPOT_GATEWAY=10.2.0.7\nPOT_DNS_IP=10.2.0.9\n"), 0o600))
	t.Run("pot.conf says what is not overridden, and the host's defaults the rest", func(t *testing.T) {
		h, c, err := Configure([]string{file}, Overrides{Host: "freebsd", Supervisor: "/s", Gateway: "10.2.0.8"})
		must.NoError(t, err)
		network := pot.Network{Prefix: netip.MustParsePrefix("10.2.0.0/16"), Gateway: netip.MustParseAddr("10.2.0.8")}
		must.Eq(t, HostConfig{Dir: "/var/db/nomad-driver-pot", Supervisor: "/s", Network: network, ZFSRoot: "tank/pot"}, h)
		must.Eq(t, Config{
			Dir: h.Dir, Network: network, Supervisor: "/s", Bridges: "/opt/pot/bridges", Reserved: []netip.Addr{netip.MustParseAddr("10.2.0.9")},
			System: SystemConf{ZFSRoot: "tank/pot", Cache: "/var/cache/pot", FSRoot: "/opt/pot", Network: "10.2.0.0/16", Gateway: "10.2.0.7", DNS: "10.2.0.9"},
		}, c)
	})
	t.Run("the gateway of pot.conf is not another network's", func(t *testing.T) {
		h, c, err := Configure([]string{file}, Overrides{Host: "linux", Dir: "/pots", ZFSRoot: "zroot", Network: "10.3.0.0/16"})
		must.NoError(t, err)
		must.Eq(t, netip.MustParseAddr("10.3.0.1"), h.Network.Gateway)
		must.Eq(t, []string{"zroot", "/pots/cache", "/pots/bridges"}, []string{h.ZFSRoot, c.System.Cache, c.Bridges})
	})
	t.Run("an override is named by its own key", func(t *testing.T) {
		_, _, err := Configure(nil, Overrides{ZFSRoot: "/", Cache: "cache", Network: "10.0.0.0/33"})
		must.EqError(t, err, `zfs_root: must be the name of a dataset, as in zroot/pot, not "/"
cache.dir: must be an absolute path, not "cache"
network: must be as in 10.192.0.0/10, not "10.0.0.0/33"`)
	})
}
