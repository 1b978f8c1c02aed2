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

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// portMap maps labels of ports to ports in the pot.
type portMap map[string]int

// publication is what a pot publishes of its group's ports.
type publication struct {
	ports   []pot.Port
	places  []string   // the job's keys for each of ports
	portMap portMap    // also of ports that are not published (containerPorts)
	labels  portLabels // of ports
}

// publish returns the ports to publish: the ports in port_map, or in ports, or by
// default all ports of the group. Another task of the group may already publish one
// of these (portClaims). Only a pot on a bridge publishes ports: on the host's
// network the task listens on them itself.
func (c *TaskConfig) publish(f *problems, r *drivers.Resources) publication {
	p := publication{portMap: portMap{}, labels: portLabels{}}
	has := groupPorts(r)
	asked := len(c.PortMap) > 0 || len(c.Ports) > 0
	switch mode := c.mode(); {
	case len(c.PortMap) > 0 && c.Ports != nil && mode != pot.Joined:
		f.add("config.port_map", "mutually exclusive with config.ports; set to of a port in the group's network block instead")
	case mode == pot.NoNetwork && asked:
		f.add("config.network_mode", "none cannot publish ports")
	case mode == pot.Alias && asked:
		f.add("config.network_mode", "alias cannot publish ports: the pot has an address of its own; set address_mode = \"driver\" in services")
	case mode == pot.Joined:
		c.publishJoined(f, &p)
		p.containerPorts(has)
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

// containerPorts maps the labels of a pot that has an address of its own, and
// publishes nothing.
func (p *publication) containerPorts(has map[string]structs.AllocatedPortMapping) {
	for label, m := range has {
		p.portMap[label] = cmp.Or(max(m.To, 0), m.Value)
	}
}

// publishMapped publishes the ports of port_map.
func (c *TaskConfig) publishMapped(f *problems, p *publication, has map[string]structs.AllocatedPortMapping) {
	for _, block := range c.PortMap {
		for _, label := range slices.Sorted(maps.Keys(block)) {
			where := "config.port_map." + label
			to, err := strconv.Atoi(block[label])
			if _, taken := p.portMap[label]; taken {
				f.add(where, "is set twice")
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

// publishLabelled publishes the ports that are named in ports, or all of the group
// if ports is not set.
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
			f.add(where, "%q is listed twice", label)
			continue
		}
		p.add(f, where, label, 0, has)
	}
}

// add publishes a port over TCP and UDP, since Nomad does not say which is meant.
// If to is 0 the port in the pot is the group's.
func (p *publication) add(f *problems, where, label string, to int, has map[string]structs.AllocatedPortMapping) {
	m, ok := has[label]
	if !ok {
		f.add(where, "no such port in the group: %q; its ports are %s", label, labelsOf(has))
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
			f.add(where, "invalid host address: %q", m.HostIP)
			return
		}
	}
	p.portMap[label] = to
	host := netip.AddrPortFrom(ip, uint16(m.Value))
	p.labels[host] = label
	for _, proto := range []conf.Proto{conf.TCP, conf.UDP} {
		p.ports, p.places = append(p.ports, pot.Port{Proto: proto, Host: host, To: uint16(to)}), append(p.places, where)
	}
}

// groupPorts returns the ports that Nomad gave the task, by label: the ports of its
// group, and ports that job files from before Nomad 0.12 list in a task's resources.
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

// labelsOf lists the labels of ports, for people.
func labelsOf(has map[string]structs.AllocatedPortMapping) string {
	if len(has) == 0 {
		return "none"
	}
	return list(slices.Sorted(maps.Keys(has)), "and")
}
