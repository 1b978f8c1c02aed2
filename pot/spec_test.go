package pot

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestName_Validate(t *testing.T) {
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
	port := netip.MustParseAddrPort("127.0.0.1:80")
	s := Spec{
		Name: "a.b", Network: "bridge", Hostname: "a b", WorkDir: "rel",
		Ports: []Port{{Proto: TCP, Host: port, To: 80}, {Proto: TCP, Host: port, To: 81}, {Proto: "sctp", Host: port}},
		Mounts: []Mount{
			{Source: "rel", Target: "rel"}, {Source: "/a", Target: "/"}, {Source: "/a", Target: "/dev/x"},
			{Source: "/a", Target: "/x"}, {Source: "/b", Target: "/y/../x"},
		},
		Hosts: []HostEntry{{Name: "a\n1.2.3.4 bank", Addr: port.Addr()}},
	}
	err := s.Validate()
	must.Error(t, err)
	for _, want := range []string{
		`name: must be letters`, `image: must be set`, `network: no such mode: "bridge"`, `hostname: `, `work_dir: must be an absolute path, not "rel"`,
		`ports: cannot be published from network "bridge"`, `ports[1]: tcp 127.0.0.1:80 is asked for twice`,
		`ports[2]: no such protocol: "sctp"`, `ports[2]: must be 1 to 65535`,
		`mounts[0]: source must be an absolute path, not "rel"`, `mounts[0]: target must be`, `mounts[1]: target must be`,
		`mounts[2]: target "/dev/x" is the host's to fill`, `mounts[4]: target "/y/../x" is asked for twice`, `hosts[0]: `,
	} {
		must.ErrorContains(t, err, want)
	}
	for _, mode := range []NetworkMode{PrivateBridge, Alias} {
		s := Spec{Name: "a", Image: "i", Network: mode}
		must.ErrorContains(t, s.Validate(), "is not supported yet")
	}
	for _, mode := range []NetworkMode{PublicBridge, HostNetwork, NoNetwork} {
		s := Spec{Name: "a", Image: "i", Network: mode}
		must.NoError(t, s.Validate())
	}
}
