package pot

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestParseNetwork(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]struct{ prefix, gateway, want string }{
		"pot's own":                     {"10.192.0.0/10", "10.192.0.1", ""},
		"no gateway is the first":       {"10.0.0.0/24", "", ""},
		"host bits do not matter":       {"10.0.0.7/24", "10.0.0.1", ""},
		"no network":                    {"10.0.0.0", "", `network: must be as in 10.192.0.0/10, not "10.0.0.0"`},
		"IPv6":                          {"fd00::/64", "", "network: must be IPv4, not fd00::/64"},
		"no room":                       {"10.0.0.0/31", "", "network: 10.0.0.0/31 has no room for pots"},
		"a gateway outside":             {"10.0.0.0/24", "10.0.1.1", `gateway: must be a host address in 10.0.0.0/24, not "10.0.1.1"`},
		"a gateway that is the network": {"10.0.0.0/24", "10.0.0.0", `gateway: must be a host address in 10.0.0.0/24, not "10.0.0.0"`},
		"a gateway that is for all":     {"10.0.0.0/24", "10.0.0.255", `gateway: must be a host address in 10.0.0.0/24, not "10.0.0.255"`},
		"a gateway that is no address":  {"10.0.0.0/24", "gw", `gateway: must be a host address in 10.0.0.0/24, not "gw"`},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := ParseNetwork(c.prefix, c.gateway)
			if c.want != "" {
				must.EqError(t, err, c.want)
				return
			}
			must.NoError(t, err)
			must.True(t, n.Prefix.Contains(n.Gateway))
		})
	}
}
