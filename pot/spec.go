package pot

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strings"
)

// Name is a pot's name, which is its dataset's, its jail's and part of paths.
type Name string

// names is narrower than what pot takes, which is all that has no dot: a name
// goes into paths, interface descriptions and jail.conf (pot-reference 10.3).
var names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// hostnames are those of RFC 1123, with _ for the names that people give tasks.
var hostnames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$`)

// maxName keeps a name, with a host name's dot behind it, within MAXHOSTNAMELEN
// (FreeBSD sys/param.h: 256) and below NAME_MAX with what is put around it.
const maxName = 128

// Validate says what is wrong with a name.
func (n Name) Validate() error {
	switch {
	case n == "":
		return errors.New("must be set")
	case len(n) > maxName:
		return fmt.Errorf("must be at most %d characters, not %d", maxName, len(n))
	case !names.MatchString(string(n)):
		return fmt.Errorf("must be letters, digits, - and _, and not begin with -, not %q", string(n))
	case strings.Trim(string(n), "0123456789") == "":
		return fmt.Errorf("must not be all digits, which jail(8) takes for a jail's ID: %q", string(n))
	}
	return nil
}

// NetworkMode is how a pot is connected.
type NetworkMode string

// Network modes, by pot's names for them but for Host, which pot calls inherit.
const (
	PublicBridge  NetworkMode = "public-bridge"  // own stack, address from the public network
	PrivateBridge NetworkMode = "private-bridge" // own stack, a bridge of a few pots
	HostNetwork   NetworkMode = "host"           // the host's stack
	Alias         NetworkMode = "alias"          // the host's stack, an address of its own
	NoNetwork     NetworkMode = "none"           // own stack, loopback only
)

// Proto is a transport.
type Proto string

// Transports that can be published.
const (
	TCP Proto = "tcp"
	UDP Proto = "udp"
)

// A Port is published: what arrives at Host goes to port To of the pot.
type Port struct {
	Proto Proto
	Host  netip.AddrPort
	To    uint16
}

// A Mount is a directory or a file of the host, seen at Target in the pot.
type Mount struct {
	Source   string // on the host, absolute
	Target   string // in the pot, absolute
	ReadOnly bool
}

// A HostEntry is a line of the pot's hosts(5).
type HostEntry struct {
	Name string
	Addr netip.Addr
}

// DNS is the pot's resolver(5). The zero value is the host's own.
type DNS struct {
	Servers  []string
	Searches []string
	Options  []string
}

// Spec is what a pot is made from. It is kept on disk with the pot's record, so
// it holds no secret: the environment is given to Start alone.
type Spec struct {
	Name     Name
	Image    string            // the dataset that it is cloned from
	Labels   map[string]string // who it belongs to; kept on its dataset
	Hostname string            // "": the name
	Network  NetworkMode
	Ports    []Port
	Mounts   []Mount
	Hosts    []HostEntry
	DNS      DNS
	Limits   Limits

	Command []string // argument vector; none: the image's pot.cmd
	User    string   // name or number in the image's passwd(5), "" for root
	WorkDir string   // in the pot, "" for /
	Stdout  string   // a fifo, or a file, that exists; "" for /dev/null
	Stderr  string
}

// Validate returns every fault in s, each led by where it is.
func (s *Spec) Validate() error {
	var errs []error
	fault := func(where, rule string, args ...any) {
		errs = append(errs, fmt.Errorf(where+": "+rule, args...))
	}
	if err := s.Name.Validate(); err != nil {
		fault("name", "%w", err)
	}
	if s.Image == "" {
		fault("image", "must be set")
	}
	switch s.Network {
	case PublicBridge, HostNetwork, NoNetwork:
	case PrivateBridge, Alias:
		fault("network", "%s is not supported yet: use %s, %s or %s", s.Network, PublicBridge, HostNetwork, NoNetwork)
	default:
		fault("network", "no such mode: %q", string(s.Network))
	}
	if s.WorkDir != "" && !path.IsAbs(s.WorkDir) {
		fault("work_dir", "must be an absolute path, not %q", s.WorkDir)
	}
	if s.Hostname != "" && !hostnames.MatchString(s.Hostname) {
		fault("hostname", "must be letters, digits, - and dots, at most 253, not %q", s.Hostname)
	}
	for i, h := range s.Hosts {
		if !hostnames.MatchString(h.Name) || !h.Addr.IsValid() {
			fault(fmt.Sprintf("hosts[%d]", i), "must be a host name and its address, not %q and %s", h.Name, h.Addr)
		}
	}
	s.validatePorts(fault)
	s.validateMounts(fault)
	return errors.Join(errs...)
}

func (s *Spec) validatePorts(fault func(where, rule string, args ...any)) {
	if len(s.Ports) > 0 && s.Network != PublicBridge {
		fault("ports", "cannot be published from network %q: %s only", string(s.Network), PublicBridge)
	}
	type key struct {
		proto Proto
		host  netip.AddrPort
	}
	taken := map[key]bool{}
	for i, p := range s.Ports {
		where := fmt.Sprintf("ports[%d]", i)
		if p.Proto != TCP && p.Proto != UDP {
			fault(where, "no such protocol: %q", string(p.Proto))
		}
		if p.To == 0 || p.Host.Port() == 0 {
			fault(where, "must be 1 to 65535, not %d to %d", p.Host.Port(), p.To)
		}
		k := key{p.Proto, p.Host}
		if taken[k] {
			fault(where, "%s %s is asked for twice", p.Proto, p.Host)
		}
		taken[k] = true
	}
}

func (s *Spec) validateMounts(fault func(where, rule string, args ...any)) {
	taken := map[string]bool{}
	for i, m := range s.Mounts {
		where := fmt.Sprintf("mounts[%d]", i)
		if !path.IsAbs(m.Source) {
			fault(where, "source must be an absolute path, not %q", m.Source)
		}
		target := path.Clean(m.Target)
		switch {
		case !path.IsAbs(m.Target) || target == "/":
			fault(where, "target must be an absolute path below /, not %q", m.Target)
		case reserved(target):
			fault(where, "target %q is the host's to fill", m.Target)
		case taken[target]:
			fault(where, "target %q is asked for twice", m.Target)
		}
		taken[target] = true
	}
}

// reserved tells whether target is in a tree that the host mounts by itself.
func reserved(target string) bool {
	for _, dir := range []string{"/dev", "/proc"} {
		if target == dir || strings.HasPrefix(target, dir+"/") {
			return true
		}
	}
	return false
}
