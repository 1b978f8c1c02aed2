package local

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// newPotWith returns a pot with that pot.conf.
func newPotWith(t *testing.T, potConf string) *Pot {
	t.Helper()
	s, _ := newPot(t, "web")
	must.NoError(t, os.WriteFile(filepath.Join(s.dir, conf.PotConf), []byte(potConf), 0o644))
	return s
}

func TestPot_Spec(t *testing.T) {
	leak.Check(t)
	t.Run("a spec has all settings of a pot.conf", func(t *testing.T) {
		s := newPotWith(t, "pot.type=single\nhost.hostname=\"web.example\"\nnetwork_type=public-bridge\npot.stack=ipv4\nip=10.192.0.7\n"+
			"pot.export.ports=80:8080 udp:53:5353\npot.hosts=10.0.0.1 db\npot.dns=pot\npot.rss.cpus=2\npot.rss.memory=64M\npot.attr.persistent=NO\n")
		dir := t.TempDir()
		must.NoError(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/mnt", ReadOnly: true}))
		got, err := s.Spec(t.Context(), "10.192.0.2")
		must.NoError(t, err)
		must.Eq(t, pot.Spec{
			Name: "web", Image: "web", InPlace: true, Hostname: "web.example", Network: pot.PublicBridge, Stack: pot.IPv4,
			Address: netip.MustParseAddr("10.192.0.7"),
			Ports: []pot.Port{
				{Proto: conf.TCP, Host: netip.MustParseAddrPort("0.0.0.0:8080"), To: 80},
				{Proto: conf.UDP, Host: netip.MustParseAddrPort("0.0.0.0:5353"), To: 53},
			},
			Hosts:  []pot.HostEntry{{Name: "db", Addr: netip.MustParseAddr("10.0.0.1")}},
			DNS:    pot.DNS{Servers: []string{"10.192.0.2"}, Searches: []string{"example"}},
			Limits: pot.Limits{CPUPercent: 200, MemoryBytes: 64 << 20},
			Mounts: []pot.Mount{{Source: dir, Target: "/mnt", ReadOnly: true}},
		}, got)
		must.NoError(t, got.Validate())
	})
	t.Run("pots on one bridge are in hosts, except with no-etc-hosts", func(t *testing.T) {
		s, h := newPot(t, "web")
		for name, potConf := range map[pot.Name]string{
			"web": "pot.type=single\nnetwork_type=public-bridge\nip=10.192.0.3\npot.hosts=10.0.0.1 own\n",
			"b":   "network_type=public-bridge\nip=10.192.0.10\n", "c": "network_type=public-bridge\nip=10.192.0.9\n",
			"private": "network_type=private-bridge\nbridge=x\nip=10.192.0.20\n", "none": "network_type=inherit\n", "ill": "frob\n",
		} {
			at := filepath.Join(addPot(t, h, name).dir, conf.PotConf)
			must.NoError(t, os.WriteFile(at, []byte(potConf), 0o644))
		}
		got, err := s.Spec(t.Context(), "")
		must.NoError(t, err)
		entry := func(name, addr string) pot.HostEntry {
			return pot.HostEntry{Name: name, Addr: netip.MustParseAddr(addr)}
		}
		must.Eq(t, []pot.HostEntry{entry("c", "10.192.0.9"), entry("b", "10.192.0.10"), entry("own", "10.0.0.1")}, got.Hosts)

		must.NoError(t, s.Apply(t.Context(), SetAttribute{"no-etc-hosts", "YES"}))
		got, err = s.Spec(t.Context(), "")
		must.NoError(t, err)
		must.Eq(t, []pot.HostEntry{entry("own", "10.0.0.1")}, got.Hosts)
	})
	t.Run("the host's network has neither addresses nor ports", func(t *testing.T) {
		got, err := newPotWith(t, "pot.type=single\nnetwork_type=inherit\npot.stack=dual\nip=10.0.0.1\npot.export.ports=80\n").Spec(t.Context(), "")
		must.NoError(t, err)
		must.Eq(t, pot.Spec{Name: "web", Image: "web", InPlace: true, Persistent: true, Network: pot.HostNetwork}, got)
	})
	t.Run("aliases are on their interfaces", func(t *testing.T) {
		got, err := newPotWith(t, "pot.type=single\nnetwork_type=alias\npot.stack=ipv4\nip=em0|192.0.2.7 192.0.2.8\n").Spec(t.Context(), "")
		must.NoError(t, err)
		must.Eq(t, []pot.InterfaceAddr{{Interface: "em0", Addr: netip.MustParseAddr("192.0.2.7")}, {Addr: netip.MustParseAddr("192.0.2.8")}}, got.Aliases)
		must.NoError(t, got.Validate())
	})
	t.Run("a private bridge has IPv4 alone", func(t *testing.T) {
		got, err := newPotWith(t, "pot.type=single\nnetwork_type=private-bridge\nbridge=b\npot.stack=dual\nip=10.0.0.3\n").Spec(t.Context(), "")
		must.NoError(t, err)
		must.Eq(t, "b", got.Bridge)
		must.NoError(t, got.Validate())
	})
	t.Run("a free port is chosen", func(t *testing.T) {
		got, err := newPotWith(t, "pot.type=single\nnetwork_type=public-bridge\npot.export.ports=80 udp:53\n").Spec(t.Context(), "")
		must.NoError(t, err)
		must.Positive(t, got.Ports[0].Host.Port())
		must.Positive(t, got.Ports[1].Host.Port())
	})
	t.Run("a pot can have its own resolv.conf or none", func(t *testing.T) {
		s := newPotWith(t, "pot.type=single\npot.dns=custom\n")
		must.NoError(t, os.WriteFile(filepath.Join(s.dir, "conf/resolv.conf"), []byte("nameserver 192.0.2.1\n"), 0o644))
		got, err := s.Spec(t.Context(), "")
		must.NoError(t, err)
		must.Eq(t, pot.DNS{Text: "nameserver 192.0.2.1\n"}, got.DNS)

		got, err = newPotWith(t, "pot.type=single\npot.dns=off\n").Spec(t.Context(), "")
		must.NoError(t, err)
		must.True(t, got.DNS.Off)
	})
	t.Run("all errors are returned at once", func(t *testing.T) {
		_, err := newPotWith(t, "pot.type=multi\nip4=inherit\nnetwork_type=public-bridge\nip=x\npot.dns=frob\npot.rss.memory=5T\npot.export.ports=0\n").Spec(t.Context(), "")
		must.EqError(t, err, `pot web: pot.type: must be single to be started, not "multi"
pot web: ip4: is a key of pot before 0.8, and not supported
pot web: ip: must be an address, not "x"
pot web: pot.export.ports: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not "0"
pot web: pot.dns: must be inherit, pot, off or custom, not "frob"
pot web: pot.rss: must be as in 512M, not "5T"`)
		s := newPotWith(t, "pot.type=single\n")
		must.NoError(t, s.Apply(t.Context(), MountIn{Dataset: "tank/x", Target: "/x"}))
		_, err = s.Spec(t.Context(), "")
		must.ErrorIs(t, err, pot.ErrUnsupported)

		s.host.Mountpoint = func(_ context.Context, dataset string) (string, error) {
			if dataset != "tank/x" {
				return "", os.ErrNotExist
			}
			return s.dir, nil
		}
		got, err := s.Spec(t.Context(), "")
		must.NoError(t, err)
		must.Eq(t, []pot.Mount{{Source: s.dir, Target: "/x"}}, got.Mounts)
		must.EqError(t, s.Apply(t.Context(), MountIn{Dataset: "tank/y", Target: "/y"}), "-z: dataset tank/y: file does not exist")
		must.NoError(t, s.Apply(t.Context(), MountIn{Dataset: "tank/x", Target: "/y", Remount: true}))
		_, err = s.Spec(t.Context(), "")
		must.EqError(t, err, "pot web: fscomp.conf: option zfs-remount: not supported on this host")
	})
}
