package pot

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestParseNetwork(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]struct{ prefix, gateway, want string }{
		"pot's default is valid":                             {"10.192.0.0/10", "10.192.0.1", ""},
		"an empty gateway is the first address":              {"10.0.0.0/24", "", ""},
		"host bits are ignored":                              {"10.0.0.7/24", "10.0.0.1", ""},
		"a network without a length is refused":              {"10.0.0.0", "", `network: must be as in 10.192.0.0/10, not "10.0.0.0"`},
		"IPv6 is refused":                                    {"fd00::/64", "", "network: must be IPv4, not fd00::/64"},
		"a network without room for pots is refused":         {"10.0.0.0/31", "", "network: 10.0.0.0/31 has no room for pots"},
		"a gateway outside the network is refused":           {"10.0.0.0/24", "10.0.1.1", `gateway: must be a host address in 10.0.0.0/24, not "10.0.1.1"`},
		"a gateway that is the network's address is refused": {"10.0.0.0/24", "10.0.0.0", `gateway: must be a host address in 10.0.0.0/24, not "10.0.0.0"`},
		"a gateway that is the broadcast address is refused": {"10.0.0.0/24", "10.0.0.255", `gateway: must be a host address in 10.0.0.0/24, not "10.0.0.255"`},
		"a gateway that is not an address is refused":        {"10.0.0.0/24", "gw", `gateway: must be a host address in 10.0.0.0/24, not "gw"`},
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
