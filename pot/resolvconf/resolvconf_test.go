package resolvconf_test

import (
	"net/netip"
	"testing"
	"testing/fstest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/resolvconf"
)

func TestNameServers(t *testing.T) {
	leak.Check(t)
	for text, want := range map[string][]netip.Addr{
		"":                         nil,
		"nameserver 127.0.0.53\n":  nil,
		"nameserver 127.9.9.9":     nil,
		"nameserver ::1\n":         nil,
		"nameserver 0.0.0.0":       nil,
		"nameserver ::":            nil,
		"nameserver fe80::1%em0\n": nil,
		"nameserver\nnameserver x": nil,
		"nameserver ::ffff:127.0.0.1\n nameserver 192.0.2.9\n#nameserver 192.0.2.8\nnameservers 192.0.2.7": nil,
		"nameserver 127.0.0.1\nnameserver\t192.0.2.1  # one\nsearch x\nnameserver 2001:db8::1":             addrs("192.0.2.1", "2001:db8::1"),
	} {
		must.Eq(t, want, resolvconf.NameServers(text), must.Sprintf("%q", text))
	}
}

func TestNameServersIn(t *testing.T) {
	leak.Check(t)
	root := fstest.MapFS{
		"run/a":     {Data: []byte("nameserver 192.0.2.1\nnameserver 127.0.0.1\n")},
		"run/b":     {Data: []byte("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")},
		"run/dir/x": {Data: []byte("nameserver 192.0.2.3\n")},
	}
	must.Eq(t, addrs("192.0.2.1", "192.0.2.2"), resolvconf.NameServersIn(root, "run/*"))
	must.SliceEmpty(t, resolvconf.NameServersIn(root, "nosuch/*"))
}

func addrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}
