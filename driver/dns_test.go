package driver

import (
	"net/netip"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// The operator's servers are the fallback for pots that reach none of the host's. The job's
// own come first.
func TestBackend_plan_dns(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := backendOf(t, `dns = ["192.0.2.53", "2001:db8::53"]`)
	fallback := []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}
	cfg := taskOf(t, least)
	p, err := b.plan(cfg)
	must.NoError(t, err)
	must.Eq(t, pot.DNS{Fallback: fallback}, p.spec.DNS)
	cfg.DNS = &drivers.DNSConfig{Servers: []string{"127.0.0.1"}, Options: []string{"ndots:2"}}
	p, err = b.plan(cfg)
	must.NoError(t, err)
	must.Eq(t, pot.DNS{Servers: []string{"127.0.0.1"}, Options: []string{"ndots:2"}, Fallback: fallback}, p.spec.DNS)
}

func TestConfig_dns(t *testing.T) {
	leak.Check(t, leak.Foreign)
	c := Config{DNS: []string{"192.0.2.53", "127.0.0.53", "::1", "dns.example", "0.0.0.0"}}
	var f problems
	must.Eq(t, []netip.Addr{netip.MustParseAddr("192.0.2.53")}, c.dns(&f))
	must.EqError(t, f.err(), `dns[1]: must be the address of a server that pots reach, not "127.0.0.53"; `+
		`dns[2]: must be the address of a server that pots reach, not "::1"; `+
		`dns[3]: must be the address of a server that pots reach, not "dns.example"; `+
		`dns[4]: must be the address of a server that pots reach, not "0.0.0.0"`)
}
