package network

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

func TestNetwork_partFor(t *testing.T) {
	leak.Check(t)
	for pots, bits := range map[int]int{2: 29, 5: 29, 6: 28, 13: 28, 14: 27, 253: 24, 254: 23} {
		got, err := partFor(pot.DefaultNetwork, pots)
		must.NoError(t, err)
		must.Eq(t, bits, got, must.Sprint(pots, " pots"))
	}
	for _, pots := range []int{-1, 0, 1, 1 << 22, 1 << 40} {
		_, err := partFor(pot.DefaultNetwork, pots)
		must.ErrorContains(t, err, "size: must be at least 2 pots, and fewer than the addresses in 10.192.0.0/10")
	}
}

func TestNetwork_part(t *testing.T) {
	leak.Check(t)
	small := pot.Network{Prefix: netip.MustParsePrefix("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.1.0.1")}
	for _, c := range []struct {
		name  string
		bits  int
		taken []string
		want  string
	}{
		{"the first part is free", 28, nil, "10.1.0.0/28"},
		{"the network's own addresses are skipped", 28, []string{"10.1.0.0/32", "10.1.0.1/32", "10.1.0.255/32"}, "10.1.0.16/28"},
		{"a pot's address is skipped", 29, []string{"10.1.0.0/32", "10.1.0.14/32"}, "10.1.0.16/29"},
		{"a larger bridge is skipped", 29, []string{"10.1.0.0/26"}, "10.1.0.64/29"},
		{"a smaller bridge is skipped", 26, []string{"10.1.0.8/29"}, "10.1.0.64/26"},
		{"a part between two bridges is found", 28, []string{"10.1.0.0/28", "10.1.0.32/27"}, "10.1.0.16/28"},
		{"the last part is free", 26, []string{"10.1.0.0/25", "10.1.0.130/32"}, "10.1.0.192/26"},
		{"no part is free", 26, []string{"10.1.0.0/25", "10.1.0.130/32", "10.1.0.255/32"}, ""},
		{"the whole network is taken", 28, []string{"10.0.0.0/8"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var taken []netip.Prefix
			for _, text := range c.taken {
				taken = append(taken, netip.MustParsePrefix(text))
			}
			for range 2 {
				got, ok := part(small, c.bits, taken)
				must.Eq(t, c.want != "", ok)
				if ok {
					must.Eq(t, c.want, got.String())
				}
				slices.Reverse(taken)
			}
		})
	}
}
