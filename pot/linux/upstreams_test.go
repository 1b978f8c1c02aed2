//go:build linux

package linux

import (
	"net/netip"
	"testing"
	"testing/fstest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestUpstreams(t *testing.T) {
	leak.Check(t)
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := fstest.MapFS{
		"run/resolvconf/interfaces/eth0.dhclient": file("nameserver 192.0.2.3\n"),
		"run/resolvconf/interfaces/lo.dnsmasq":    file("nameserver 127.0.0.1\n"),
	}
	must.Eq(t, []netip.Addr{netip.MustParseAddr("192.0.2.3")}, upstreams(root))
	root["run/NetworkManager/no-stub-resolv.conf"] = file("nameserver 192.0.2.2\n")
	must.Eq(t, []netip.Addr{netip.MustParseAddr("192.0.2.2")}, upstreams(root))
	root["run/systemd/resolve/resolv.conf"] = file("nameserver 192.0.2.1\n")
	must.Eq(t, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, upstreams(root))
	must.SliceEmpty(t, upstreams(fstest.MapFS{}))
}
