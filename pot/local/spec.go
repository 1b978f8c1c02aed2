package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// Spec is what the pot is started by: its dataset is its own, and stays. dns is the
// address of the pot that others may resolve names by.
func (s *Pot) Spec(ctx context.Context, dns string) (pot.Spec, error) {
	potConf, err := s.Conf()
	if err != nil {
		return pot.Spec{}, fmt.Errorf("pot %s: %w", s.name, err)
	}
	spec := pot.Spec{Name: s.name, Image: string(s.name), InPlace: true, Hostname: potConf.Value("host.hostname")}
	var errs []error
	fault := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("pot %s: %s: %w", s.name, key, err))
		}
	}
	if kind := potConf.Value("pot.type"); kind != "single" {
		fault("pot.type", fmt.Errorf("%q: only pots of type single can be started", kind))
	}
	for _, key := range []string{"ip4", "pot.export.static.ports"} {
		if len(potConf.Values(key)) > 0 {
			fault(key, errors.New("is of a pot older than 0.8"))
		}
	}
	spec.Persistent = potConf.Attribute("persistent") == "YES"
	connect(&spec, potConf, fault)
	for _, text := range strings.Fields(potConf.Value("pot.export.ports")) {
		e, err := conf.ParseExport(text)
		fault("pot.export.ports", err)
		spec.Ports = append(spec.Ports, pot.Port{Proto: e.Proto, To: e.Port, Host: netip.AddrPortFrom(netip.IPv4Unspecified(), e.Host)})
	}
	if !spec.Network.VNET() || !spec.Stack.Has4() {
		spec.Ports = nil // as with pot
	}
	if potConf.Attribute("no-etc-hosts") != "YES" && spec.Network.VNET() && spec.Stack.Has4() {
		spec.Hosts, err = s.neighbours(&spec)
		fault("neighbours", err)
	}
	for _, line := range potConf.Values("pot.hosts") {
		addr, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		ip, err := netip.ParseAddr(addr)
		fault("pot.hosts", err)
		spec.Hosts = append(spec.Hosts, pot.HostEntry{Name: strings.TrimSpace(name), Addr: ip})
	}
	spec.DNS, err = s.dns(potConf, dns)
	fault("pot.dns", err)
	spec.Limits, err = limitsOf(potConf)
	fault("pot.rss", err)
	spec.Mounts, err = s.mounts(ctx)
	fault("fscomp.conf", err)
	if len(errs) > 0 {
		return pot.Spec{}, errors.Join(errs...)
	}
	return spec, pick(&spec)
}

// connect is how the pot is connected.
func connect(s *pot.Spec, conf *conf.Lines, fault func(string, error)) {
	s.Network, s.Stack = pot.NetworkMode(conf.Value("network_type")), pot.Stack(conf.Value("pot.stack"))
	switch s.Network {
	case "inherit", "":
		s.Network, s.Stack = pot.HostNetwork, "" // its addresses are the host's
	case pot.PrivateBridge:
		s.Bridge = conf.Value("bridge")
		if s.Stack == pot.Dual {
			s.Stack = pot.IPv4 // as with pot
		}
	}
	words := strings.Fields(conf.Value("ip"))
	switch {
	case s.Network == pot.Alias:
		for _, text := range words {
			a, err := pot.ParseInterfaceAddr(text)
			fault("ip", err)
			s.Aliases = append(s.Aliases, a)
		}
	case s.Network.VNET() && len(words) > 0 && s.Stack.Has4():
		var err error
		s.Address, err = netip.ParseAddr(words[0])
		fault("ip", err)
	}
}

// neighbours are the other pots of the same bridge, by name, in the order of their
// addresses. A pot.conf that cannot be read is of none.
func (s *Pot) neighbours(spec *pot.Spec) ([]pot.HostEntry, error) {
	jails := filepath.Dir(s.dir)
	entries, err := os.ReadDir(jails)
	if err != nil {
		return nil, err
	}
	var all []pot.HostEntry
	for _, e := range entries {
		name := e.Name()
		if name == string(s.name) || pot.Name(name).Validate() != nil {
			continue
		}
		conf, err := (&Pot{dir: filepath.Join(jails, name)}).Conf()
		if err != nil || pot.NetworkMode(conf.Value("network_type")) != spec.Network || conf.Value("bridge") != spec.Bridge {
			continue
		}
		if addr, err := netip.ParseAddr(strings.TrimSpace(conf.Value("ip"))); err == nil {
			all = append(all, pot.HostEntry{Name: name, Addr: addr})
		}
	}
	slices.SortFunc(all, func(a, b pot.HostEntry) int { return a.Addr.Compare(b.Addr) })
	return all, nil
}

// dns is what the pot resolves names by.
func (s *Pot) dns(potConf *conf.Lines, server string) (pot.DNS, error) {
	switch kind := potConf.Value("pot.dns"); kind {
	case "", "inherit":
		return pot.DNS{}, nil
	case "off":
		return pot.DNS{Off: true}, nil
	case "custom":
		data, err := s.read(conf.Dir + "/resolv.conf")
		if err != nil {
			return pot.DNS{}, err
		}
		return pot.DNS{Text: string(data[:min(len(data), pot.MaxResolvConf)]), Off: len(data) == 0}, nil
	case "pot":
		hostname := potConf.Value("host.hostname")
		d := pot.DNS{Servers: []string{server}}
		if parts := strings.Split(hostname, "."); len(parts) > 1 {
			d.Searches = []string{parts[1]}
		}
		return d, nil
	default:
		return pot.DNS{}, fmt.Errorf("no such kind: %q", kind)
	}
}

// limitsOf is what set-rss has set. So many processors are a bound on time: which of
// them they are is for the scheduler.
func limitsOf(potConf *conf.Lines) (l pot.Limits, err error) {
	if text := potConf.Value("pot.rss.cpus"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return l, err
		}
		l.CPUPercent = 100 * int64(n)
	}
	if text := potConf.Value("pot.rss.memory"); text != "" {
		l.MemoryBytes, err = conf.ParseMemory(text)
	}
	return l, err
}

// mounts are what is mounted in the pot when it runs.
func (s *Pot) mounts(ctx context.Context) ([]pot.Mount, error) {
	if err := s.approved(ctx, conf.FSCompConf); err != nil {
		return nil, err
	}
	lines, err := s.Mounts()
	if err != nil {
		return nil, err
	}
	var all []pot.Mount
	for _, line := range lines {
		line = line.Relative(s.tree())
		if line.Source, err = s.sourceOf(ctx, line); err != nil {
			return nil, err
		}
		switch {
		case line.Option != "" && line.Option != conf.ReadOnly && line.Option != "rw":
			return nil, fmt.Errorf("option %s: %w", line.Option, pot.ErrUnsupported)
		}
		if _, err := os.Stat(line.Source); err != nil {
			return nil, err
		}
		all = append(all, pot.Mount{Source: line.Source, Target: line.Target, ReadOnly: line.Option == conf.ReadOnly})
	}
	return all, nil
}

// sourceOf is the directory that a line of fscomp.conf has mounted.
func (s *Pot) sourceOf(ctx context.Context, m conf.FSMount) (string, error) {
	if strings.HasPrefix(m.Source, "/") {
		return m.Source, nil
	}
	dir, err := s.host.Mountpoint(ctx, m.Source)
	if err != nil {
		return "", fmt.Errorf("dataset %s: %w", m.Source, err)
	}
	return dir, nil
}

// pick finds a port of the host for each that has none. It can be another's by the time
// that it is published; then the start fails, and may be tried again.
func pick(s *pot.Spec) error {
	for i := range s.Ports {
		p := &s.Ports[i]
		if p.Host.Port() != 0 {
			continue
		}
		port, err := freePort(p.Proto)
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		p.Host = netip.AddrPortFrom(p.Host.Addr(), port)
	}
	return nil
}

// freePort is one that nobody has now.
func freePort(proto conf.Proto) (uint16, error) {
	if proto == conf.UDP {
		c, err := net.ListenUDP("udp4", nil)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
	}
	l, err := net.ListenTCP("tcp4", nil)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), nil
}
