package freebsd

import (
	"fmt"
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
