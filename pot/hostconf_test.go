package pot

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestReadHostConf(t *testing.T) {
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
		must.Eq(t, Dual, c.NetworkStack())
		var h HostConfig
		must.NoError(t, h.Apply(&c))
		must.Eq(t, HostConfig{
			Interface: "em0", InterfaceAddr: netip.MustParseAddr("192.0.2.1"), PFRulesHook: "/root/rules", StatusDir: "/var/tmp",
			Extra: []Uplink{{"em1", netip.MustParsePrefix("192.168.0.0/16")}, {Interface: "em2"}},
		}, h)
	})
	t.Run("all that is wrong with uplinks is told", func(t *testing.T) {
		c, err := ReadSystemConf(write("wrong", "POT_EXTIF=-a\nPOT_EXTRA_EXTIF=em1\nPOT_NETWORK_em1=all\nPOT_EXTIF_ADDR=em0\nPOT_EXPORT_PORTS_PF_RULES_HOOK=rules\nPOT_TMP=tmp\n"))
		must.NoError(t, err)
		err = new(HostConfig).Apply(&c)
		for _, want := range []string{`POT_EXTIF: cannot be "-a"`, `POT_NETWORK_em1: cannot be "all"`, `POT_EXTIF_ADDR: cannot be "em0"`,
			`POT_EXPORT_PORTS_PF_RULES_HOOK: cannot be "rules"`, `POT_TMP: cannot be "tmp"`} {
			must.ErrorContains(t, err, want)
		}
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
