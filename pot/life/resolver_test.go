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
		note      string  // how the note begins; "": there is none
	}{
		"the servers that a local resolver asks replace it": {
			text: "# managed\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org", upstreams: up,
			want: pot.DNS{Text: made + "# managed\noptions edns0 trust-ad\nsearch example.org\nnameserver 192.0.2.1\n"}},
		"servers that a pot cannot reach are left out": {
			text: "nameserver ::1\nnameserver 192.0.2.9\n", upstreams: up,
			want: pot.DNS{Text: made + "nameserver 192.0.2.9\n"}},
		"a file that a pot can use is the host's": {text: "nameserver 192.0.2.9\n", upstreams: up},
		"the operator's servers are used if a local resolver's are not known": {
			text: "nameserver 127.0.0.1\n", spec: pot.Spec{DNS: pot.DNS{Fallback: addrs("192.0.2.7")}},
			want: pot.DNS{Text: made + "nameserver 192.0.2.7\n"}},
		"a local resolver's servers win over the operator's": {
			text: "nameserver 127.0.0.1\n", upstreams: up, spec: pot.Spec{DNS: pot.DNS{Fallback: addrs("192.0.2.7")}},
			want: pot.DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"a task without usable servers has a note": {
			text: "nameserver 127.0.0.1\nnameserver ::1\nsearch x\n", want: pot.DNS{Text: made + "search x\n"},
			note: "Names do not resolve: /etc/resolv.conf of this host names only 127.0.0.1, ::1, which the pot cannot reach: set dns {"},
		"a pot started by hand has a note of its own": {
			text: "nameserver 127.0.0.1\n", spec: pot.Spec{InPlace: true}, want: pot.DNS{Text: made},
			note: "Names do not resolve in the pot: /etc/resolv.conf of this host names only 127.0.0.1, which the pot cannot reach: create it with -d custom:FILE"},
		"an empty file means a server on loopback": {upstreams: up, want: pot.DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"an empty file without a local resolver has a note": {want: pot.DNS{Text: made},
			note: "Names do not resolve: /etc/resolv.conf of this host names no server: "},
		"a missing file means a server on loopback":   {missing: true, upstreams: up, want: pot.DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"the image's file stays if the host has none": {missing: true, image: "nameserver 192.0.2.3\n", want: pot.DNS{Off: true}},
		"a useless file of the image has a note": {missing: true, image: "nameserver 127.0.0.1\n", want: pot.DNS{Off: true},
			note: "Names do not resolve: this host has no /etc/resolv.conf: "},
		"a pot without IPv6 cannot use IPv6 servers": {
			text: "nameserver 127.0.0.53\n", upstreams: addrs("2001:db8::1"), want: pot.DNS{Text: made}, note: "Names do not resolve: "},
		"a pot with IPv6 can use IPv6 servers": {
			text: "nameserver 127.0.0.53\n", upstreams: addrs("2001:db8::1"), spec: pot.Spec{Stack: pot.Dual},
			want: pot.DNS{Text: made + "nameserver 2001:db8::1\n"}},
		"the host's network has the host's file":      {text: "nameserver 127.0.0.1\n", spec: pot.Spec{Network: pot.HostNetwork}},
		"a pot without a network has the host's file": {text: "nameserver 127.0.0.1\n", spec: pot.Spec{Network: pot.NoNetwork}},
		"a pot with aliases does not use a server on loopback": {
			text: "nameserver 127.0.0.1\n", upstreams: up, spec: pot.Spec{Network: pot.Alias}, want: pot.DNS{Text: made + "nameserver 192.0.2.1\n"}},
		"a job's servers are used unchanged": {
			text: "nameserver 192.0.2.9\n", spec: pot.Spec{DNS: pot.DNS{Servers: []string{"127.0.0.1"}}}, want: pot.DNS{Servers: []string{"127.0.0.1"}}},
		"a job's searches alone keep the host's servers": {
			text: "search host\nnameserver 192.0.2.9\noptions edns0\n", spec: pot.Spec{DNS: pot.DNS{Searches: []string{"a", "b"}}},
			want: pot.DNS{Searches: []string{"a", "b"}, Text: made + "options edns0\nsearch a b\nnameserver 192.0.2.9\n"}},
		"a job's options alone keep the host's servers on its network": {
			text: "nameserver 127.0.0.1\noptions edns0\n", spec: pot.Spec{Network: pot.HostNetwork, DNS: pot.DNS{Options: []string{"ndots:2"}}},
			want: pot.DNS{Options: []string{"ndots:2"}, Text: made + "nameserver 127.0.0.1\noptions ndots:2\n"}},
		"a file in the spec is used unchanged": {
			text: "nameserver 192.0.2.9\n", spec: pot.Spec{DNS: pot.DNS{Text: "nameserver 127.0.0.1\n"}}, want: pot.DNS{Text: "nameserver 127.0.0.1\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.spec.Network == "" {
				c.spec.Network = pot.PublicBridge
			}
			h := hostResolver{
				text: c.text, exists: !c.missing,
				upstreams: func() []netip.Addr { return c.upstreams }, image: func() string { return c.image },
			}
			got, note := h.resolve(&c.spec)
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
	must.Eq(t, "", imageResolvConf(tree)) // a fifo is not waited for
}
