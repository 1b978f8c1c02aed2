package local

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

func TestConnection_Validate(t *testing.T) {
	leak.Check(t)
	for want, c := range map[string]Connection{
		`-i: must be an address, not "x"`:                {Network: pot.PublicBridge, Addresses: []string{"x"}},
		"-B: requires network private-bridge, not alias": {Network: pot.Alias, Bridge: "b", Addresses: []string{"10.0.0.1"}},
		"-i: network inherit uses the host's addresses":  {Network: pot.HostNetwork, Addresses: []string{"10.0.0.1"}},
		`-S: must be ipv4, ipv6 or dual, not "ipx"`:      {Network: pot.PublicBridge, Stack: "ipx"},
	} {
		must.EqError(t, c.Validate(), want)
	}
}
