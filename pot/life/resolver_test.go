package life

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree/treetest"
)

func addrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestHostResolver(t *testing.T) {
	leak.Check(t)
	const made = "# Made from this host's /etc/resolv.conf.\n"
	up := addrs("192.0.2.1")
	for name, c := range map[string]struct {
		text      string
		missing   bool // the host has no file
		upstreams []netip.Addr
		image     string
		spec      pot.Spec
		want      pot.DNS // without Fallback
		note      string  // that begins with this
	}{
		"the real servers": {
			text: "# managed\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org", upstreams: up,
			want: pot.DNS{Text: made + "# managed\noptions edns0 trust-ad\nsearch example.org\nnameserver 192.0.2.1\n"}},
		"the rest of a mixed list": {
			text: "nameserver ::1\nnameserver 192.0.2.9\n", upstreams: up,
			want: pot.DNS{Text: made + "nameserver 192.0.2.9\n"}},
		"a file of servers alone is the host's": {text: "nameserver 192.0.2.9\n", upstreams: up},
		"the operator's, where nothing says which": {
			text: "nameserver 127.0.0.1\n", spec: pot.Spec{DNS: pot.DNS{Fallback: addrs("192.0.2.7")}},
			want: pot.DNS{Text: made + "nameserver 192.0.2.7\n"}},
		"the real ones come before the operator's": {
			text: "nameserver 127.0.0.1\n", upstreams: up, spec: pot.Spec{DNS: pot.DNS{Fallback: addrs("192.0.2.7")}},
			want: pot.DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"none is told": {
			text: "nameserver 127.0.0.1\nnameserver ::1\nsearch x\n", want: pot.DNS{Text: made + "search x\n"},
			note: "Names do not resolve: /etc/resolv.conf of this host names only 127.0.0.1, ::1, which the pot cannot reach: set dns {"},
		"and what to do for a pot by hand": {
			text: "nameserver 127.0.0.1\n", spec: pot.Spec{InPlace: true}, want: pot.DNS{Text: made},
			note: "Names do not resolve in the pot: /etc/resolv.conf of this host names only 127.0.0.1, which the pot cannot reach: create it with -d custom:FILE"},
		"an empty file means loopback": {upstreams: up, want: pot.DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"an empty file, and no more": {want: pot.DNS{Text: made},
			note: "Names do not resolve: /etc/resolv.conf of this host names no server: "},
		"no file":                      {missing: true, upstreams: up, want: pot.DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"no file, and the image's own": {missing: true, image: "nameserver 192.0.2.3\n", want: pot.DNS{Off: true}},
		"no file, and no more": {missing: true, image: "nameserver 127.0.0.1\n", want: pot.DNS{Off: true},
			note: "Names do not resolve: this host has no /etc/resolv.conf: "},
		"servers that a pot without IPv6 cannot use": {
			text: "nameserver 127.0.0.53\n", upstreams: addrs("2001:db8::1"), want: pot.DNS{Text: made}, note: "Names do not resolve: "},
		"a pot with IPv6 can": {
			text: "nameserver 127.0.0.53\n", upstreams: addrs("2001:db8::1"), spec: pot.Spec{Stack: pot.Dual},
			want: pot.DNS{Text: made + "nameserver 2001:db8::1\n"}},
		"the host's network has the host's file": {text: "nameserver 127.0.0.1\n", spec: pot.Spec{Network: pot.HostNetwork}},
		"no network has no names":                {text: "nameserver 127.0.0.1\n", spec: pot.Spec{Network: pot.NoNetwork}},
		"addresses on the host's interfaces have no loopback": {
			text: "nameserver 127.0.0.1\n", upstreams: up, spec: pot.Spec{Network: pot.Alias}, want: pot.DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"a job's servers are taken as they are": {
			text: "nameserver 192.0.2.9\n", spec: pot.Spec{DNS: pot.DNS{Servers: []string{"127.0.0.1"}}}, want: pot.DNS{Servers: []string{"127.0.0.1"}}},
		"a job's searches alone leave the servers": {
			text: "search host\nnameserver 192.0.2.9\noptions edns0\n", spec: pot.Spec{DNS: pot.DNS{Searches: []string{"a", "b"}}},
			want: pot.DNS{Searches: []string{"a", "b"}, Text: made + "options edns0\nsearch a b\nnameserver 192.0.2.9\n"}},
		"a job's options alone, on the host's network": {
			text: "nameserver 127.0.0.1\noptions edns0\n", spec: pot.Spec{Network: pot.HostNetwork, DNS: pot.DNS{Options: []string{"ndots:2"}}},
			want: pot.DNS{Options: []string{"ndots:2"}, Text: made + "nameserver 127.0.0.1\noptions ndots:2\n"}},
		"a file of the pot's own stays": {
			text: "nameserver 192.0.2.9\n", spec: pot.Spec{DNS: pot.DNS{Text: "nameserver 127.0.0.1\n"}}, want: pot.DNS{Text: "nameserver 127.0.0.1\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.spec.Network == "" {
				c.spec.Network = pot.PublicBridge
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
