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
	"nomad-driver-pot/pot/resolvconf"
	"nomad-driver-pot/pot/tree"
)

// Spec returns the pot.Spec that the pot is started by, from its pot.conf and fscomp.conf;
// the dataset is used in place. dns is the address of the name server for pots with
// pot.dns=pot. It returns all errors at once, each led by its key. It changes nothing on
// the host. Free ports are chosen here, so each call may return others.
func (s *Pot) Spec(ctx context.Context, dns string) (pot.Spec, error) {
	potConf, err := s.Conf()
	if err != nil {
		return pot.Spec{}, fmt.Errorf("pot %s: %w", s.name, err)
	}
	spec := pot.Spec{Name: s.name, Image: string(s.name), InPlace: true, Hostname: potConf.Value("host.hostname")}
	var errs []error
	addProblem := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("pot %s: %s: %w", s.name, key, err))
		}
	}
	if kind := potConf.Value("pot.type"); kind != "single" {
		addProblem("pot.type", fmt.Errorf("must be single to be started, not %q", kind))
	}
	for _, key := range []string{"ip4", "pot.export.static.ports"} {
		if len(potConf.Values(key)) > 0 {
			addProblem(key, errors.New("is a key of pot before 0.8, and not supported"))
		}
	}
	spec.Persistent = potConf.Attribute("persistent") == "YES"
	connect(&spec, potConf, addProblem)
	for _, text := range strings.Fields(potConf.Value("pot.export.ports")) {
		e, err := conf.ParseExport(text)
		addProblem("pot.export.ports", err)
		spec.Ports = append(spec.Ports, pot.Port{Proto: e.Proto, To: e.Port, Host: netip.AddrPortFrom(netip.IPv4Unspecified(), e.Host)})
	}
	if !spec.Network.VNET() || !spec.Stack.Has4() {
		spec.Ports = nil // pot, too, ignores them
	}
	if potConf.Attribute("no-etc-hosts") != "YES" && spec.Network.VNET() && spec.Stack.Has4() {
		spec.Hosts, err = s.neighbours(&spec)
		addProblem("neighbours", err)
	}
	for _, line := range potConf.Values("pot.hosts") {
		addr, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		ip, err := parseAddr(addr)
		addProblem("pot.hosts", err)
		spec.Hosts = append(spec.Hosts, pot.HostEntry{Name: strings.TrimSpace(name), Addr: ip})
	}
	spec.DNS, err = s.dns(potConf, dns)
	addProblem("pot.dns", err)
	spec.Limits, err = limitsOf(potConf)
	addProblem("pot.rss", err)
	spec.Mounts, err = s.mounts(ctx)
	addProblem("fscomp.conf", err)
	if len(errs) > 0 {
		return pot.Spec{}, errors.Join(errs...)
	}
	return spec, pickPorts(&spec)
}

// connect sets how the pot is connected.
func connect(s *pot.Spec, conf *conf.Lines, addProblem func(string, error)) {
	s.Network, s.Stack = pot.NetworkMode(conf.Value("network_type")), pot.Stack(conf.Value("pot.stack"))
	switch s.Network {
	case "inherit", "":
		s.Network, s.Stack = pot.HostNetwork, "" // the host's addresses are used
	case pot.PrivateBridge:
		s.Bridge = conf.Value("bridge")
		if s.Stack == pot.Dual {
			s.Stack = pot.IPv4 // as pot does
		}
	}
	words := strings.Fields(conf.Value("ip"))
	switch {
	case s.Network == pot.Alias:
		for _, text := range words {
			a, err := pot.ParseInterfaceAddr(text)
			addProblem("ip", err)
			s.Aliases = append(s.Aliases, a)
		}
	case s.Network.VNET() && len(words) > 0 && s.Stack.Has4():
		var err error
		s.Address, err = parseAddr(words[0])
		addProblem("ip", err)
	}
}

// neighbours returns the names and addresses of the other pots on the same bridge, sorted
// by address. It ignores a pot whose pot.conf cannot be read. pot writes the same lines
// into hosts(5) (potnet etc-hosts), running or not: pots find each other by name without a
// name server. Names are the pots', not their hostnames.
func (s *Pot) neighbours(spec *pot.Spec) ([]pot.HostEntry, error) {
	jails := filepath.Dir(s.dir)
	entries, err := os.ReadDir(jails)
	if err != nil {
		return nil, tree.TrimOp(err)
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

// dns returns how the pot resolves names. For the kind pot the search domain is the second
// label of the hostname (share/pot/start.sh).
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
		return pot.DNS{Text: string(data[:min(len(data), resolvconf.MaxBytes)]), Off: len(data) == 0}, nil
	case "pot":
		hostname := potConf.Value("host.hostname")
		d := pot.DNS{Servers: []string{server}}
		if parts := strings.Split(hostname, "."); len(parts) > 1 {
			d.Searches = []string{parts[1]}
		}
		return d, nil
	default:
		return pot.DNS{}, fmt.Errorf("must be inherit, pot, off or custom, not %q", kind)
	}
}

// limitsOf returns the limits that set-rss set. A number of processors becomes a bound on
// CPU time: the scheduler chooses the processors. pot binds the pot to processors instead
// (potcpu, cpuset(1)), which two starts at once could choose alike.
func limitsOf(potConf *conf.Lines) (l pot.Limits, err error) {
	if text := potConf.Value("pot.rss.cpus"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return l, fmt.Errorf("must be a number of processors, not %.80q", text)
		}
		l.CPUPercent = 100 * int64(n)
	}
	if text := potConf.Value("pot.rss.memory"); text != "" {
		l.MemoryBytes, err = conf.ParseMemory(text)
	}
	return l, err
}

// mounts returns what fscomp.conf mounts in the pot. It returns ErrNotApproved if the
// operator has not set that file. A source that is missing fails the start, as in pot: the
// pot would write into its own tree instead.
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
		if line.Option != "" && line.Option != conf.ReadOnly && line.Option != "rw" {
			return nil, fmt.Errorf("option %s: %w", line.Option, pot.ErrUnsupported)
		}
		if _, err := os.Stat(line.Source); err != nil {
			return nil, tree.TrimOp(err)
		}
		all = append(all, pot.Mount{Source: line.Source, Target: line.Target, ReadOnly: line.Option == conf.ReadOnly})
	}
	return all, nil
}

// sourceOf returns the directory that a line of fscomp.conf mounts.
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

// pickPorts chooses a free port of the host for each port that has none. Another process may
// take it before it is published: then the start fails, and can be retried.
func pickPorts(s *pot.Spec) error {
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

// freePort returns a port of the host that is free at present.
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
