package life

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// HostEnvironment returns the variables that describe a pot to its hooks, by its pot.conf.
// addr is the pot's address on its bridge; if it is not valid, pot.conf's ip is used. jail
// is the name of its jail. Their names are pot's.
func HostEnvironment(ctx context.Context, host pot.Host, name, jail pot.Name, conf *conf.Lines, addr netip.Addr) []string {
	env := []string{"_POT_NAME=" + string(name)}
	ip := strings.TrimSpace(conf.Value("ip"))
	switch {
	case pot.NetworkMode(conf.Value("network_type")) == pot.Alias:
		env = append(env, aliasEnvironment(ip)...)
	case addr.IsValid():
		env = append(env, "_POT_IP="+addr.String())
	default:
		env = append(env, "_POT_IP="+ip)
	}
	if bridge := conf.Value("bridge"); bridge != "" {
		env = append(env, "_POT_BRIDGE="+bridge)
	}
	if found, err := host.Jails.Find(ctx, jail); err == nil {
		env = append(env, "_POT_JID="+strconv.Itoa(found.ID))
	}
	return env
}

// aliasEnvironment returns the variables for a pot with the addresses ip, each with the
// interface that has it, IPv4 addresses first.
func aliasEnvironment(ip string) (env []string) {
	var all []pot.InterfaceAddr
	for word := range strings.FieldsSeq(ip) {
		if a, err := pot.ParseInterfaceAddr(word); err == nil {
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b pot.InterfaceAddr) int { return a.Addr.BitLen() - b.Addr.BitLen() })
	var ips, nics []string
	for i, a := range all {
		if i == 0 {
			env = append(env, "_POT_IP="+a.Addr.String())
		}
		ips, nics = append(ips, fmt.Sprintf("_POT_IP_%d", i)), append(nics, fmt.Sprintf("_POT_NIC_%d", i))
		env = append(env, ips[i]+"="+a.Addr.String(), nics[i]+"="+a.Interface)
	}
	return append(env, "_POT_IP_LIST="+strings.Join(ips, " "), "_POT_NIC_LIST="+strings.Join(nics, " "))
}
