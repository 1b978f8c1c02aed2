package freebsd

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// killed is the complaint of a command that a signal ends: none.
const killed = "\x00killed"

// clone is ifconfig(8)'s create, of any unit or of one (sys/net/if_clone.c,
// ifc_alloc_unit; sys/net/if_epair.c, epair_handle_unit). The interface is created
// first, and each setting is an ioctl of its own after that.
func (m *model) clone(argv []string) (out, complaint string) {
	kind := strings.TrimRight(argv[0], "0123456789")
	unit, err := strconv.Atoi(argv[0][len(kind):])
	if err != nil {
		m.lastUnit++
		unit = m.lastUnit
	}
	switch name := fmt.Sprint(kind, unit); {
	case unit > 0x7fff: // sys/net/if.h, IF_MAXUNIT
		return "", "ifconfig: SIOCIFCREATE2 (" + argv[0] + "): No space left on device"
	case m.ifaces[name] != nil, m.ifaces[name+"a"] != nil, m.ifaces[name+"b"] != nil:
		return "", "ifconfig: interface " + argv[0] + " already exists"
	}
	if ioctls := m.cut[kind]; ioctls > 0 {
		argv = argv[:min(2*ioctls, len(argv))]
		delete(m.cut, kind)
		m.createInterface(kind, unit, argv)
		return "", killed
	}
	return m.createInterface(kind, unit, argv)
}

// The model refuses what ifconfig(8) and if_clone(4) refuse.
func TestModel_clone(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	for _, tc := range []struct{ command, out, complaint string }{
		{"epair create", "epair1a", ""},
		{"epair20001 create up", "epair20001a", ""},
		{"epair20001 create up", "", "ifconfig: interface epair20001 already exists"},
		{"bridge20001 create up", "bridge20001", ""},
		{"bridge20001 create up", "", "ifconfig: interface bridge20001 already exists"},
		{"bridge32768 create up", "", "ifconfig: SIOCIFCREATE2 (bridge32768): No space left on device"},
		{"epair32767 create", "epair32767a", ""},
	} {
		out, complaint := m.ifconfig(nil, strings.Fields(tc.command))
		must.Eq(t, tc.complaint, complaint, must.Sprint(tc.command))
		must.Eq(t, tc.out, strings.TrimSpace(out))
	}
	for cut, want := range []modelIface{
		1: {groups: []string{"epair"}},
		2: {groups: []string{"epair", "pot"}},
		3: {groups: []string{"epair", "pot"}, description: "web"},
	} {
		if cut == 0 {
			continue
		}
		m.cut = map[string]int{"epair": cut}
		_, complaint := m.ifconfig(nil, []string{fmt.Sprint("epair10", cut), "create", "group", "pot", "description", "web", "up"})
		must.Eq(t, killed, complaint)
		must.Eq(t, want, *m.ifaces[fmt.Sprint("epair10", cut, "a")])
	}
}

type modelIface struct {
	description string
	groups      []string
	inet        string
	aliases     []string
	members     []string
	jail        string
	down        bool
}

func (m *model) ifconfig(_ io.Reader, argv []string) (string, string) {
	if refused := withoutWidth(argv); refused != "" {
		return "", refused
	}
	switch {
	case argv[0] == "-a":
		return m.showInterfaces(), ""
	case argv[0] == "-j" && m.noJ:
		return "", "ifconfig: illegal option -- j\nusage: ifconfig [-f type:format] interface"
	case argv[0] == "-j":
		if m.jails[argv[1]] == nil {
			return "", "ifconfig: jail \"" + argv[1] + "\" not found"
		}
		if i := m.ifaces[argv[2]]; argv[2] != "lo0" && (i == nil || i.jail != argv[1]) {
			return "", "ifconfig: interface " + argv[2] + " does not exist"
		}
		return "", ""
	case argv[1] == "create":
		return m.clone(argv)
	}
	i := m.ifaces[argv[0]]
	if i == nil {
		return "", "ifconfig: interface " + argv[0] + " does not exist"
	}
	switch argv[1] {
	case "addm":
		return "", m.addm(argv[0], argv[2])
	case "inet", "inet6":
		if refused := m.mayHaveAddress(argv[0]); refused != "" && argv[3] == "alias" {
			return "", refused
		}
		return "", i.alias(argv[2:])
	case "destroy":
		delete(m.ifaces, argv[0])
		delete(m.ifaces, inner(argv[0]))
		for _, b := range m.ifaces {
			b.members = slices.DeleteFunc(b.members, func(s string) bool { return s == argv[0] })
		}
	default:
		panic("the model has no ifconfig " + argv[1])
	}
	return "", ""
}

// alias adds an address to an interface, or removes it.
func (i *modelIface) alias(argv []string) string {
	if argv[1] == "alias" {
		i.aliases = append(i.aliases, argv[0])
		return ""
	}
	at := slices.IndexFunc(i.aliases, func(a string) bool { return strings.HasPrefix(a, argv[0]+"/") })
	if at < 0 {
		return "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address"
	}
	i.aliases = slices.Delete(i.aliases, at, at+1)
	return ""
}

// createInterface does as argv says, word for word: what was made before a word that
// is refused stays, and its name is printed all the same (sbin/ifconfig/ifconfig.c,
// printifnamemaybe).
func (m *model) createInterface(kind string, unit int, argv []string) (out, complaint string) {
	m.noBridge = m.noBridge && kind != "bridge"
	i := &modelIface{groups: []string{kind}}
	name := fmt.Sprint(kind, unit)
	if kind == "epair" {
		m.ifaces[name+"b"] = &modelIface{groups: []string{"epair"}}
		name += "a"
	}
	m.ifaces[name] = i
	for n := 2; n+1 < len(argv); n++ {
		switch argv[n] {
		case "group":
			i.groups = append(i.groups, argv[n+1])
		case "description":
			i.description = argv[n+1]
		case "inet":
			i.inet = argv[n+1]
		case "addm":
			if refused := m.addm(name, argv[n+1]); refused != "" {
				return name + "\n", refused
			}
		}
	}
	return name + "\n", ""
}

func (m *model) showInterfaces() string {
	var b strings.Builder
	for name, i := range m.ifaces {
		if i.jail != "" {
			continue
		}
		flags := map[bool]string{true: "BROADCAST", false: "UP,BROADCAST"}[i.down]
		fmt.Fprintf(&b, "%s: flags=1008843<%s> metric 0 mtu 1500\n", name, flags)
		if i.description != "" {
			fmt.Fprintf(&b, "\tdescription: %s\n", i.description)
		}
		fmt.Fprintf(&b, "\toptions=0\n\tgroups: %s\n", strings.Join(i.groups, " "))
		b.WriteString(i.showAddresses())
		for _, member := range i.members {
			fmt.Fprintf(&b, "\tmember: %s flags=143<LEARNING,DISCOVER>\n\t        port 5 priority 128 path cost 2000\n", member)
		}
	}
	return b.String()
}

func (m *model) route(_ io.Reader, argv []string) (string, string) {
	if m.noJ {
		return "", "route: illegal option -- j\nroute: usage: route [-46dnqtv] command [[modifiers] args]"
	}
	if j := m.jails[argv[1]]; j == nil || !j.vnet {
		return "", "route: jail \"" + argv[1] + "\" not found"
	}
	return "", ""
}

// Interfaces implements Kernel.
func (m *model) Interfaces() (map[netip.Addr]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := map[netip.Addr]string{}
	for name, i := range m.ifaces {
		for _, text := range append(i.aliases, i.inet) {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				names[prefix.Addr()] = name
			}
		}
	}
	return names, nil
}
