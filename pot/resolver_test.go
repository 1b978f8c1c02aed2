package pot

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/tree/treetest"
)

func addrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

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
		must.Eq(t, want, NameServers(text), must.Sprintf("%q", text))
	}
}

func TestNameServersIn(t *testing.T) {
	leak.Check(t)
	root := fstest.MapFS{
		"run/a":     {Data: []byte("nameserver 192.0.2.1\nnameserver 127.0.0.1\n")},
		"run/b":     {Data: []byte("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")},
		"run/dir/x": {Data: []byte("nameserver 192.0.2.3\n")},
	}
	must.Eq(t, addrs("192.0.2.1", "192.0.2.2"), NameServersIn(root, "run/*"))
	must.SliceEmpty(t, NameServersIn(root, "nosuch/*"))
}

// What a pot gets of a host's resolver.
func TestHostResolver(t *testing.T) {
	leak.Check(t)
	const made = "# Made from this host's /etc/resolv.conf.\n"
	up := addrs("192.0.2.1")
	for name, c := range map[string]struct {
		text      string
		missing   bool // the host has no file
		upstreams []netip.Addr
		image     string
		spec      Spec
		want      DNS    // without Fallback
		note      string // that begins with this
	}{
		"the real servers": {
			text: "# managed\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org", upstreams: up,
			want: DNS{Text: made + "# managed\noptions edns0 trust-ad\nsearch example.org\nnameserver 192.0.2.1\n"}},
		"the rest of a mixed list": {
			text: "nameserver ::1\nnameserver 192.0.2.9\n", upstreams: up,
			want: DNS{Text: made + "nameserver 192.0.2.9\n"}},
		"a file of servers alone is the host's": {text: "nameserver 192.0.2.9\n", upstreams: up},
		"the operator's, where nothing says which": {
			text: "nameserver 127.0.0.1\n", spec: Spec{DNS: DNS{Fallback: addrs("192.0.2.7")}},
			want: DNS{Text: made + "nameserver 192.0.2.7\n"}},
		"the real ones come before the operator's": {
			text: "nameserver 127.0.0.1\n", upstreams: up, spec: Spec{DNS: DNS{Fallback: addrs("192.0.2.7")}},
			want: DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"none is told": {
			text: "nameserver 127.0.0.1\nnameserver ::1\nsearch x\n", want: DNS{Text: made + "search x\n"},
			note: "Names do not resolve: /etc/resolv.conf of this host names only 127.0.0.1, ::1, which the pot cannot reach: set dns {"},
		"and what to do for a pot by hand": {
			text: "nameserver 127.0.0.1\n", spec: Spec{InPlace: true}, want: DNS{Text: made},
			note: "Names do not resolve in the pot: /etc/resolv.conf of this host names only 127.0.0.1, which the pot cannot reach: create it with -d custom:FILE"},
		"an empty file means loopback": {upstreams: up, want: DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"an empty file, and no more": {want: DNS{Text: made},
			note: "Names do not resolve: /etc/resolv.conf of this host names no server: "},
		"no file":                      {missing: true, upstreams: up, want: DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"no file, and the image's own": {missing: true, image: "nameserver 192.0.2.3\n", want: DNS{Off: true}},
		"no file, and no more": {missing: true, image: "nameserver 127.0.0.1\n", want: DNS{Off: true},
			note: "Names do not resolve: this host has no /etc/resolv.conf: "},
		"servers that a pot without IPv6 cannot use": {
			text: "nameserver 127.0.0.53\n", upstreams: addrs("2001:db8::1"), want: DNS{Text: made}, note: "Names do not resolve: "},
		"a pot with IPv6 can": {
			text: "nameserver 127.0.0.53\n", upstreams: addrs("2001:db8::1"), spec: Spec{Stack: Dual},
			want: DNS{Text: made + "nameserver 2001:db8::1\n"}},
		"the host's network has the host's file": {text: "nameserver 127.0.0.1\n", spec: Spec{Network: HostNetwork}},
		"no network has no names":                {text: "nameserver 127.0.0.1\n", spec: Spec{Network: NoNetwork}},
		"addresses on the host's interfaces have no loopback": {
			text: "nameserver 127.0.0.1\n", upstreams: up, spec: Spec{Network: Alias}, want: DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"a job's servers are taken as they are": {
			text: "nameserver 192.0.2.9\n", spec: Spec{DNS: DNS{Servers: []string{"127.0.0.1"}}}, want: DNS{Servers: []string{"127.0.0.1"}}},
		"a job's searches alone leave the servers": {
			text: "search host\nnameserver 192.0.2.9\noptions edns0\n", spec: Spec{DNS: DNS{Searches: []string{"a", "b"}}},
			want: DNS{Searches: []string{"a", "b"}, Text: made + "options edns0\nsearch a b\nnameserver 192.0.2.9\n"}},
		"a job's options alone, on the host's network": {
			text: "nameserver 127.0.0.1\noptions edns0\n", spec: Spec{Network: HostNetwork, DNS: DNS{Options: []string{"ndots:2"}}},
			want: DNS{Options: []string{"ndots:2"}, Text: made + "nameserver 127.0.0.1\noptions ndots:2\n"}},
		"a file of the pot's own stays": {
			text: "nameserver 192.0.2.9\n", spec: Spec{DNS: DNS{Text: "nameserver 127.0.0.1\n"}}, want: DNS{Text: "nameserver 127.0.0.1\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.spec.Network == "" {
				c.spec.Network = PublicBridge
			}
			h := hostResolver{
				text: c.text, there: !c.missing,
				upstreams: func() []netip.Addr { return c.upstreams }, image: func() string { return c.image },
			}
			got, note := h.of(&c.spec)
			got.Fallback = nil
			must.Eq(t, c.want, got)
			must.True(t, strings.HasPrefix(note, c.note) && (note == "") == (c.note == ""), must.Sprint(note))
		})
	}
}

func TestImageResolvConf(t *testing.T) {
	leak.Check(t)
	must.Eq(t, "", imageResolvConf(t.TempDir()))
	tree := treetest.New(t, map[string]string{"etc/resolv.conf": "nameserver 192.0.2.3\n"})
	must.Eq(t, "nameserver 192.0.2.3\n", imageResolvConf(tree))
	fifo := filepath.Join(tree, "etc/resolv.conf")
	must.NoError(t, os.Remove(fifo))
	must.NoError(t, syscall.Mkfifo(fifo, 0o600))
	must.Eq(t, "", imageResolvConf(tree)) // and is not waited for
}
