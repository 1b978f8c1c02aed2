package pot

import (
	"errors"
	"maps"
	"net/netip"
	"path"
	"slices"

	"nomad-driver-pot/image/conf"
)

// Validate returns every problem of s, joined, each as a *FieldError.
func (s *Spec) Validate() error {
	var errs fieldErrors
	if err := s.Name.Validate(); err != nil {
		errs.add("name", "%w", err)
	}
	if s.Image == "" {
		errs.add("image", "must be set")
	}
	if s.InPlace && s.Image != string(s.Name) {
		errs.add("image", "must be the pot's own dataset, not %q", s.Image)
	}
	if s.WorkDir != "" && !path.IsAbs(s.WorkDir) {
		errs.add("work_dir", "must be an absolute path, not %q", s.WorkDir)
	}
	if s.Hostname != "" && !ValidHostname(s.Hostname) {
		errs.add("hostname", "must be letters, digits, - and dots, at most 253, not %q", s.Hostname)
	}
	for i, h := range s.Hosts {
		if !ValidHostname(h.Name) || !h.Addr.IsValid() {
			errs.addAt("hosts", i, "must be a host name and its address, not %q and %s", h.Name, h.Addr)
		}
	}
	s.validateConnection(&errs)
	s.validateAttributes(&errs)
	s.validateMounts(&errs)
	s.validateCopies(&errs)
	return errors.Join(errs...)
}

func (s *Spec) validateMounts(errs *fieldErrors) {
	taken := map[string]bool{}
	for i, m := range s.Mounts {
		if !path.IsAbs(m.Source) {
			errs.addAt("mounts", i, "source must be an absolute path, not %q", m.Source)
		}
		target := path.Clean(m.Target)
		switch {
		case !path.IsAbs(m.Target) || target == "/":
			errs.addAt("mounts", i, "target must be an absolute path below /, not %q", m.Target)
		case ReservedTarget(target):
			errs.addAt("mounts", i, "target %q is reserved for the host", m.Target)
		case taken[target]:
			errs.addAt("mounts", i, "target %q is listed twice", m.Target)
		}
		taken[target] = true
	}
}

func (s *Spec) validateCopies(errs *fieldErrors) {
	for i, c := range s.Copies {
		if !path.IsAbs(c.Source) || path.Clean(c.Source) == "/" {
			errs.addAt("copies", i, "source must be an absolute path below /, not %q", c.Source)
		}
		if target := path.Clean(c.Target); !path.IsAbs(c.Target) || target == "/" || ReservedTarget(target) {
			errs.addAt("copies", i, "target must be an absolute path in the pot's own tree, not %q", c.Target)
		}
	}
}

func (s *Spec) validateAttributes(errs *fieldErrors) {
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		if _, err := conf.ParseTaskAttribute(name, s.Attributes[name]); err != nil {
			errs.add("attributes", "%w", err)
		}
	}
	if s.DiskBytes < 0 {
		errs.add("disk", "must not be negative: %d", s.DiskBytes)
	}
	if s.WallClock < 0 {
		errs.add("wallclock", "must not be negative: %s", s.WallClock)
	}
}

// validateConnection adds the problems of the fields about networks.
func (s *Spec) validateConnection(errs *fieldErrors) {
	switch s.Network {
	case PublicBridge, HostNetwork, NoNetwork, PrivateBridge, Alias:
	default:
		errs.add("network", "no such mode: %q", string(s.Network))
		return
	}
	switch s.Stack {
	case "", IPv4:
	case IPv6, Dual:
		if s.Network == PrivateBridge || s.Network == NoNetwork {
			errs.add("stack", "%s has IPv4 only, not %s", s.Network, s.Stack)
		}
	default:
		errs.add("stack", "must be ipv4, ipv6 or dual, not %q", string(s.Stack))
	}
	switch err := ValidateBridge(s.Bridge); {
	case s.Network == PrivateBridge && err != nil:
		errs.add("bridge", "%w", err)
	case s.Network != PrivateBridge && s.Bridge != "":
		errs.add("bridge", "is for network %s only", PrivateBridge)
	}
	s.validateAliases(errs)
	s.validatePorts(errs)
}

func (s *Spec) validateAliases(errs *fieldErrors) {
	if s.Network != Alias {
		if len(s.Aliases) > 0 {
			errs.add("ip", "is for network %s only", Alias)
		}
		return
	}
	has4, has6 := false, false
	taken := map[netip.Addr]bool{}
	for i, a := range s.Aliases {
		if _, err := ParseInterfaceAddr(a.String()); err != nil {
			errs.addAt("ip", i, "%w", err)
			continue
		}
		if taken[a.Addr] {
			errs.addAt("ip", i, "%s is listed twice", a.Addr)
		}
		taken[a.Addr] = true
		has4, has6 = has4 || a.Addr.Is4(), has6 || a.Addr.Is6()
	}
	if len(s.Aliases) == 0 {
		errs.add("ip", "network %s needs an address", Alias)
		return
	}
	if s.Stack != "" && (has4 != s.Stack.Has4() || has6 != s.Stack.Has6()) {
		errs.add("ip", "must have addresses of stack %s, and no others", s.Stack)
	}
}

func (s *Spec) validatePorts(errs *fieldErrors) {
	switch {
	case len(s.Ports) == 0:
	case !s.Network.VNET():
		errs.add("ports", "cannot be published from network %q: %s and %s only", string(s.Network), PublicBridge, PrivateBridge)
	case !s.Stack.Has4():
		errs.add("ports", "cannot be published from a pot without IPv4")
	}
	type key struct {
		proto conf.Proto
		host  netip.AddrPort
	}
	taken := map[key]bool{}
	for i, p := range s.Ports {
		if p.Proto != conf.TCP && p.Proto != conf.UDP {
			errs.addAt("ports", i, "no such protocol: %q", string(p.Proto))
		}
		if p.To == 0 || p.Host.Port() == 0 {
			errs.addAt("ports", i, "must be 1 to 65535, not %d to %d", p.Host.Port(), p.To)
		}
		k := key{p.Proto, p.Host}
		if taken[k] {
			errs.addAt("ports", i, "%s %s is listed twice", p.Proto, p.Host)
		}
		taken[k] = true
	}
}
