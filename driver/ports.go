package driver

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// portMap is the port in the pot by label.
type portMap map[string]int

// publication is what of a group's ports reaches the pot.
type publication struct {
	ports   []pot.Port
	portMap portMap
	labels  portLabels
}

// publish finds the ports that are published: those of port_map, or of ports,
// or all that the group has and no other task publishes (portClaims). Only a pot on a bridge has ports of its own; on the
// host's network they are the task's own affair.
func (c *TaskConfig) publish(f *problems, r *drivers.Resources) publication {
	p := publication{portMap: portMap{}, labels: portLabels{}}
	has := groupPorts(r)
	asked := len(c.PortMap) > 0 || len(c.Ports) > 0
	switch mode := c.mode(); {
	case len(c.PortMap) > 0 && c.Ports != nil:
		f.add("config.port_map", "not together with ports: ports of the group have to")
	case mode == pot.NoNetwork && asked:
		f.add("config.network_mode", "none has no ports to publish")
	case mode == pot.Alias && asked:
		f.add("config.network_mode", "alias has an address of its own, and no ports to publish: services find it with address_mode = \"driver\"")
	case mode == pot.Alias:
		p.containerPorts(has)
	case mode != pot.PublicBridge && mode != pot.PrivateBridge:
	case len(c.PortMap) > 0:
		c.publishMapped(f, &p, has)
	default:
		c.publishLabelled(f, &p, has)
	}
	return p
}

// containerPorts says where the ports of a pot with an address of its own are, though nothing
// is published of them.
func (p *publication) containerPorts(has map[string]structs.AllocatedPortMapping) {
	for label, m := range has {
		p.portMap[label] = cmp.Or(max(m.To, 0), m.Value)
	}
}

// publishMapped publishes what port_map says.
func (c *TaskConfig) publishMapped(f *problems, p *publication, has map[string]structs.AllocatedPortMapping) {
	for _, block := range c.PortMap {
		for _, label := range slices.Sorted(maps.Keys(block)) {
			where := "config.port_map." + label
			to, err := strconv.Atoi(block[label])
			if _, taken := p.portMap[label]; taken {
				f.add(where, "is asked for twice")
				continue
			}
			if err != nil || to < 1 || to > 65535 {
				f.add(where, "must be a port, 1 to 65535, not %q", block[label])
				continue
			}
			p.add(f, where, label, to, has)
		}
	}
}

// publishLabelled publishes what ports says.
func (c *TaskConfig) publishLabelled(f *problems, p *publication, has map[string]structs.AllocatedPortMapping) {
	labels := c.Ports
	if labels == nil {
		labels = slices.Sorted(maps.Keys(has))
	}
	for i, label := range labels {
		where := fmt.Sprintf("config.ports[%d]", i)
		if c.Ports == nil {
			where = fmt.Sprintf("port %q", label)
		}
		if _, taken := p.portMap[label]; taken {
			f.add(where, "%q is asked for twice", label)
			continue
		}
		p.add(f, where, label, 0, has)
	}
}

// add publishes a port, over both transports since Nomad does not say which. A
// to of 0 is the group's.
func (p *publication) add(f *problems, where, label string, to int, has map[string]structs.AllocatedPortMapping) {
	m, ok := has[label]
	if !ok {
		f.add(where, "the group has no port %q, it has %s", label, labelsOf(has))
		return
	}
	if to == 0 {
		to = m.To
	}
	if to <= 0 {
		to = m.Value
	}
	ip := netip.IPv4Unspecified()
	if m.HostIP != "" {
		var err error
		if ip, err = netip.ParseAddr(m.HostIP); err != nil {
			f.add(where, "no host address: %q", m.HostIP)
			return
		}
	}
	p.portMap[label] = to
	host := netip.AddrPortFrom(ip, uint16(m.Value))
	p.labels[host] = label
	for _, proto := range []pot.Proto{pot.TCP, pot.UDP} {
		p.ports = append(p.ports, pot.Port{Proto: proto, Host: host, To: uint16(to)})
	}
}

// groupPorts are the ports that Nomad gave the task, by label: its group's, and
// those that job files from before Nomad 0.12 ask for among its resources.
func groupPorts(r *drivers.Resources) map[string]structs.AllocatedPortMapping {
	all := map[string]structs.AllocatedPortMapping{}
	if r == nil {
		return all
	}
	if r.NomadResources != nil {
		for _, n := range r.NomadResources.Networks {
			for _, p := range slices.Concat(n.ReservedPorts, n.DynamicPorts) {
				all[p.Label] = structs.AllocatedPortMapping{Label: p.Label, Value: p.Value, To: p.To, HostIP: n.IP}
			}
		}
	}
	if r.Ports != nil {
		for _, p := range *r.Ports {
			all[p.Label] = p
		}
	}
	return all
}

func labelsOf(has map[string]structs.AllocatedPortMapping) string {
	if len(has) == 0 {
		return "none"
	}
	return list(slices.Sorted(maps.Keys(has)), "and")
}
