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
	var errs FieldErrors
	if err := s.Name.Validate(); err != nil {
		errs.Add("name", "%w", err)
	}
	if s.Image == "" {
		errs.Add("image", "must be set")
	}
	if s.InPlace && s.Image != string(s.Name) {
		errs.Add("image", "must be the pot's own dataset, not %q", s.Image)
	}
	if s.WorkDir != "" && !path.IsAbs(s.WorkDir) {
		errs.Add("work_dir", "must be an absolute path, not %q", s.WorkDir)
	}
	if s.Hostname != "" && !ValidHostname(s.Hostname) {
		errs.Add("hostname", "must be letters, digits, - and dots, at most 253, not %q", s.Hostname)
	}
	for i, h := range s.Hosts {
		if !ValidHostname(h.Name) || !h.Addr.IsValid() {
			errs.AddAt("hosts", i, "must be a host name and its address, not %q and %s", h.Name, h.Addr)
		}
	}
	s.validateConnection(&errs)
	s.validateAttributes(&errs)
	s.validateMounts(&errs)
	s.validateCopies(&errs)
	return errors.Join(errs...)
}

func (s *Spec) validateMounts(errs *FieldErrors) {
	taken := map[string]bool{}
	for i, m := range s.Mounts {
		if !path.IsAbs(m.Source) {
			errs.AddAt("mounts", i, "source must be an absolute path, not %q", m.Source)
		}
		target := path.Clean(m.Target)
		switch {
		case !path.IsAbs(m.Target) || target == "/":
			errs.AddAt("mounts", i, "target must be an absolute path below /, not %q", m.Target)
		case ReservedTarget(target):
			errs.AddAt("mounts", i, "target %q is reserved for the host", m.Target)
		case taken[target]:
			errs.AddAt("mounts", i, "target %q is listed twice", m.Target)
		}
		taken[target] = true
	}
}

func (s *Spec) validateCopies(errs *FieldErrors) {
	for i, c := range s.Copies {
		if !path.IsAbs(c.Source) || path.Clean(c.Source) == "/" {
			errs.AddAt("copies", i, "source must be an absolute path below /, not %q", c.Source)
		}
		if target := path.Clean(c.Target); !path.IsAbs(c.Target) || target == "/" || ReservedTarget(target) {
			errs.AddAt("copies", i, "target must be an absolute path in the pot's own tree, not %q", c.Target)
		}
	}
}

func (s *Spec) validateAttributes(errs *FieldErrors) {
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		if _, err := conf.ParseTaskAttribute(name, s.Attributes[name]); err != nil {
			errs.Add("attributes", "%w", err)
		}
	}
	if s.DiskBytes < 0 {
		errs.Add("disk", "must not be negative: %d", s.DiskBytes)
	}
	if s.WallClock < 0 {
		errs.Add("wallclock", "must not be negative: %s", s.WallClock)
	}
}

// validateConnection adds the problems of the fields about networks.
func (s *Spec) validateConnection(errs *FieldErrors) {
	switch s.Network {
	case PublicBridge, HostNetwork, NoNetwork, PrivateBridge, Alias, Joined:
	default:
		errs.Add("network", "no such mode: %q", string(s.Network))
		return
	}
	s.validateJoined(errs)
	switch s.Stack {
	case "", IPv4:
	case IPv6, Dual:
		if s.Network == PrivateBridge || s.Network == NoNetwork {
			errs.Add("stack", "%s has IPv4 only, not %s", s.Network, s.Stack)
		}
	default:
		errs.Add("stack", "must be ipv4, ipv6 or dual, not %q", string(s.Stack))
	}
	switch err := ValidateBridge(s.Bridge); {
	case s.Network == PrivateBridge && err != nil:
		errs.Add("bridge", "%w", err)
	case s.Network != PrivateBridge && s.Bridge != "":
		errs.Add("bridge", "is for network %s only", PrivateBridge)
	}
	s.validateAliases(errs)
	s.validatePorts(errs)
}

// validateJoined checks what a pot has of another's network, and what others have of its.
func (s *Spec) validateJoined(errs *FieldErrors) {
	switch {
	case s.Network != Joined && s.Of != "":
		errs.Add("network", "%s has a network of its own", s.Network)
	case s.Network == Joined && s.Of.Validate() != nil:
		errs.Add("network", "joined to a pot: %w", s.Of.Validate())
	case s.Network == Joined && s.Of == s.Name:
		errs.Add("network", "cannot be joined to itself")
	case s.Network == Joined && s.Stack != "":
		errs.Add("stack", "comes with the network that the pot joins")
	case s.Network == Joined && s.Address.IsValid():
		errs.Add("ip", "comes with the network that the pot joins")
	case s.Bare && !s.Network.VNET():
		errs.Add("network", "of a pot for others to join must be %s or %s, not %s", PublicBridge, PrivateBridge, s.Network)
	}
}

func (s *Spec) validateAliases(errs *FieldErrors) {
	if s.Network != Alias {
		if len(s.Aliases) > 0 {
			errs.Add("ip", "is for network %s only", Alias)
		}
		return
	}
	has4, has6 := false, false
	taken := map[netip.Addr]bool{}
	for i, a := range s.Aliases {
		if _, err := ParseInterfaceAddr(a.String()); err != nil {
			errs.AddAt("ip", i, "%w", err)
			continue
		}
		if taken[a.Addr] {
			errs.AddAt("ip", i, "%s is listed twice", a.Addr)
		}
		taken[a.Addr] = true
		has4, has6 = has4 || a.Addr.Is4(), has6 || a.Addr.Is6()
	}
	if len(s.Aliases) == 0 {
		errs.Add("ip", "network %s needs an address", Alias)
		return
	}
	if s.Stack != "" && (has4 != s.Stack.Has4() || has6 != s.Stack.Has6()) {
		errs.Add("ip", "must have addresses of stack %s, and no others", s.Stack)
	}
}

func (s *Spec) validatePorts(errs *FieldErrors) {
	switch {
	case len(s.Ports) == 0:
	case !s.Network.VNET():
		errs.Add("ports", "cannot be published from network %q: %s and %s only", string(s.Network), PublicBridge, PrivateBridge)
	case !s.Stack.Has4():
		errs.Add("ports", "cannot be published from a pot without IPv4")
	}
	type key struct {
		proto conf.Proto
		host  netip.AddrPort
	}
	taken := map[key]bool{}
	for i, p := range s.Ports {
		if p.Proto != conf.TCP && p.Proto != conf.UDP {
			errs.AddAt("ports", i, "no such protocol: %q", string(p.Proto))
		}
		if p.To == 0 || p.Host.Port() == 0 {
			errs.AddAt("ports", i, "must be 1 to 65535, not %d to %d", p.Host.Port(), p.To)
		}
		k := key{p.Proto, p.Host}
		if taken[k] {
			errs.AddAt("ports", i, "%s %s is listed twice", p.Proto, p.Host)
		}
		taken[k] = true
	}
}
