package pot

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
)

func TestName_Validate(t *testing.T) {
	leak.Check(t)
	for _, good := range []Name{"web", "web_1", "a-b", "1a", "_import", Name(strings.Repeat("x", maxName))} {
		must.NoError(t, good.Validate(), must.Sprint(good))
	}
	for bad, want := range map[Name]string{
		"":                                   "must be set",
		"123":                                "must not be all digits",
		"a.b":                                "must be letters",
		"a/b":                                "must be letters",
		"..":                                 "must be letters",
		"-a":                                 "must be letters",
		"a b":                                "must be letters",
		"a\nb":                               "must be letters",
		"a\x00b":                             "must be letters",
		"é":                                  "must be letters",
		Name(strings.Repeat("x", maxName+1)): "must be at most 128 characters, not 129",
	} {
		must.ErrorContains(t, bad.Validate(), want)
	}
}

func FuzzName(f *testing.F) {
	f.Add("web_1")
	f.Add("../x")
	f.Fuzz(func(t *testing.T, s string) {
		if Name(s).Validate() != nil {
			return
		}
		if strings.ContainsAny(s, "/. \n\"'$`;|&*?[]{}()<>\\") || s[0] == '-' || len(s) > maxName {
			t.Fatalf("%q passed", s)
		}
	})
}

func TestSpec_Validate(t *testing.T) {
	leak.Check(t)
	port := netip.MustParseAddrPort("127.0.0.1:80")
	s := Spec{
		Name: "a.b", Network: HostNetwork, Hostname: "a b", WorkDir: "rel",
		Ports: []Port{{Proto: conf.TCP, Host: port, To: 80}, {Proto: conf.TCP, Host: port, To: 81}, {Proto: "sctp", Host: port}},
		Mounts: []Mount{
			{Source: "rel", Target: "rel"}, {Source: "/a", Target: "/"}, {Source: "/a", Target: "/dev/x"},
			{Source: "/a", Target: "/x"}, {Source: "/b", Target: "/y/../x"},
		},
		Hosts: []HostEntry{{Name: "a\n1.2.3.4 bank", Addr: port.Addr()}},
	}
	err := s.Validate()
	must.Error(t, err)
	for _, want := range []string{
		`name: must be letters`, `image: must be set`, `hostname: `, `work_dir: must be an absolute path, not "rel"`,
		`ports: cannot be published from network "host"`, `ports[1]: tcp 127.0.0.1:80 is listed twice`,
		`ports[2]: no such protocol: "sctp"`, `ports[2]: must be 1 to 65535`,
		`mounts[0]: source must be an absolute path, not "rel"`, `mounts[0]: target must be`, `mounts[1]: target must be`,
		`mounts[2]: target "/dev/x" is reserved for the host`, `mounts[4]: target "/y/../x" is listed twice`, `hosts[0]: `,
	} {
		must.ErrorContains(t, err, want)
	}
	all := err.(interface{ Unwrap() []error }).Unwrap()
	first, last := all[0].(*FieldError), all[len(all)-1].(*FieldError)
	must.Eq(t, []any{"name", -1, "mounts", 4}, []any{first.Field, first.Index, last.Field, last.Index})
	v4, v6 := InterfaceAddr{"em0", netip.MustParseAddr("192.0.2.7")}, InterfaceAddr{"", netip.MustParseAddr("2001:db8::7")}
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"an unknown mode":                 {Spec{Network: "bridge"}, `network: no such mode: "bridge"`},
		"an unknown stack":                {Spec{Network: PublicBridge, Stack: "ipv5"}, `stack: must be ipv4, ipv6 or dual, not "ipv5"`},
		"IPv6 on a private bridge":        {Spec{Network: PrivateBridge, Bridge: "b", Stack: Dual}, "stack: private-bridge has IPv4 only, not dual"},
		"a private bridge without a name": {Spec{Network: PrivateBridge}, "bridge: must be set"},
		"a bridge that is a path":         {Spec{Network: PrivateBridge, Bridge: "../b"}, "bridge: must be letters"},
		"a public bridge with a name":     {Spec{Network: PublicBridge, Bridge: "b"}, "bridge: is for network private-bridge only"},
		"ports without IPv4": {Spec{Network: PublicBridge, Stack: IPv6, Ports: []Port{{conf.TCP, port, 80}}},
			"ports: cannot be published from a pot without IPv4"},
		"network alias without an address": {Spec{Network: Alias}, "ip: network alias needs an address"},
		"an alias on another network":      {Spec{Network: PublicBridge, Aliases: []InterfaceAddr{v4}}, "ip: is for network alias only"},
		"an alias twice":                   {Spec{Network: Alias, Aliases: []InterfaceAddr{v4, v4}}, "ip[1]: 192.0.2.7 is listed twice"},
		"an alias of another stack":        {Spec{Network: Alias, Stack: IPv4, Aliases: []InterfaceAddr{v4, v6}}, "ip: must have addresses of stack ipv4"},
		"a joined pot without another":     {Spec{Network: Joined}, "network: joined to a pot: must be set"},
		"a pot joined to itself":           {Spec{Network: Joined, Of: "a"}, "network: cannot be joined to itself"},
		"another pot's own network":        {Spec{Network: PublicBridge, Of: "b"}, "network: public-bridge has a network of its own"},
		"a joined pot with a stack":        {Spec{Network: Joined, Of: "b", Stack: IPv4}, "stack: comes with the network that the pot joins"},
		"a joined pot with an address":     {Spec{Network: Joined, Of: "b", Address: v4.Addr}, "ip: comes with the network that the pot joins"},
		"a joined pot with a bridge":       {Spec{Network: Joined, Of: "b", Bridge: "x"}, "bridge: is for network private-bridge only"},
		"a joined pot with ports":          {Spec{Network: Joined, Of: "b", Ports: []Port{{conf.TCP, port, 80}}}, `ports: cannot be published from network "joined"`},
		"a network to join without bridge": {Spec{Network: NoNetwork, Bare: true}, "network: of a pot for others to join must be public-bridge or private-bridge, not none"},
		"an unknown attribute":             {Spec{Network: NoNetwork, Attributes: conf.Attributes{"frob": "YES"}}, `attributes: no such attribute: "frob"`},
		"a negative quota":                 {Spec{Network: NoNetwork, DiskBytes: -1}, "disk: must not be negative"},
		"a negative wall clock":            {Spec{Network: NoNetwork, WallClock: -1}, "wallclock: must not be negative"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			c.spec.Name, c.spec.Image = "a", "i"
			must.ErrorContains(t, c.spec.Validate(), c.want)
		})
	}
	must.NoError(t, (&Spec{Name: "a", Image: "i", Network: Alias, Stack: Dual, Aliases: []InterfaceAddr{v4, v6}}).Validate())
	must.NoError(t, (&Spec{Name: "a", Image: "i", Network: PrivateBridge, Bridge: "b"}).Validate())
	must.NoError(t, (&Spec{Name: "a", Image: "i", Network: Joined, Of: "b"}).Validate())
	must.Eq(t, "b.a", (&Spec{Name: "a", Of: "b"}).JailName())
	must.Eq(t, "a", (&Spec{Name: "a"}).JailName())
	for _, mode := range []NetworkMode{PublicBridge, HostNetwork, NoNetwork} {
		s := Spec{Name: "a", Image: "i", Network: mode}
		must.NoError(t, s.Validate())
	}
}

func TestParseInterfaceAddr(t *testing.T) {
	leak.Check(t)
	for _, good := range []string{"192.0.2.7", "em0|192.0.2.7", "2001:db8::7", "vlan0.7|2001:db8::7"} {
		a, err := ParseInterfaceAddr(good)
		must.NoError(t, err)
		must.Eq(t, good, a.String())
	}
	for _, bad := range []string{"", "|192.0.2.7", "em0|", "em0", "-a|192.0.2.7", "em0|192.0.2.7/24", "0.0.0.0", "::1", "224.0.0.1",
		"fe80::1%em0", "::ffff:192.0.2.7", "a b|192.0.2.7", "em0|192.0.2.7|x"} {
		_, err := ParseInterfaceAddr(bad)
		must.Error(t, err, must.Sprint(bad))
	}
}
