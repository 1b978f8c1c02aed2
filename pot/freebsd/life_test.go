package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

// host is m as a host, and the pots on it.
func (m *model) host(t testing.TB) (pot.Host, *life.Pots) {
	dir := t.TempDir()
	c := Config{
		ZFSRoot: "tank/pot", Interface: "vtnet0", Network: pot.DefaultNetwork,
		Supervisor: os.Args[0], LockFile: filepath.Join(dir, "lock"),
	}
	if m.configure != nil {
		m.configure(&c)
	}
	h := New(m, m, c)
	bridges := t.TempDir()
	must.NoError(t, os.WriteFile(bridges+"/db", []byte("net=10.192.8.0/29\ngateway=10.192.8.1\nname=db\n"), 0o644))
	return h, life.Open(h, potconf.Config{
		Dir: dir, Network: pot.DefaultNetwork, Bridges: bridges, Supervisor: os.Args[0],
		AllowAttributes: []string{"children"},
	})
}

// web is a pot with one of everything.
func web(t testing.TB) pot.Spec {
	var mounts []pot.Mount
	dir := t.TempDir()
	must.NoError(t, os.MkdirAll(dir+"/alloc/data", 0o755))
	must.NoError(t, os.Symlink("/etc", dir+"/alloc/link"))
	for _, on := range []string{"/alloc", "/alloc/logs", "/local", "/secrets"} {
		must.NoError(t, os.MkdirAll(dir+on, 0o755))
		mounts = append(mounts, pot.Mount{Source: dir + on, Target: on, ReadOnly: on == "/alloc/logs"})
	}
	return pot.Spec{
		Name: "web", Image: "web_1_0", Network: pot.PublicBridge,
		Labels: map[string]string{"nomad.pot:alloc": "a1", "nomad.pot:task": "a1/web"},
		Ports:  []pot.Port{{Proto: conf.TCP, Host: netip.MustParseAddrPort("192.0.2.7:8080"), To: 80}},
		Mounts: mounts,
		Limits: pot.Limits{MemoryBytes: 64 << 20, CPUPercent: 50, CPUShares: 100, CPUs: "0-1"},
	}
}

// The commands of a start and of a stop, in order, and the state after them.
func TestLife(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	before := m.state()
	h, pots := m.host(t)
	s := web(t)
	p, err := pots.Create(t.Context(), s)
	must.NoError(t, err)
	root := m.place("tank/pot/jails/web/m")
	skeleton := m.place("tank/pot/jails/web/skeletons/alloc")
	must.Eq(t, lanes{
		"zfs": {
			"zfs create -o nomad.pot:alloc=a1 -o nomad.pot:task=a1/web tank/pot/jails/web",
			"zfs list -Hp -d 1 -t snapshot -s createtxg -o name tank/pot/jails/web_1_0/m", // once for an image
			"zfs clone tank/pot/jails/web_1_0/m@1700000000 tank/pot/jails/web/m",
		},
		"mount": {
			"nmount nullfs " + s.Mounts[0].Source + " " + root + "/alloc",
			"unmount " + root + "/alloc",
			"nmount nullfs " + skeleton + " " + root + "/alloc ro",
			"nmount nullfs " + s.Mounts[0].Source + "/data " + root + "/alloc/data",
			"nmount nullfs " + s.Mounts[1].Source + " " + root + "/alloc/logs ro",
			"nmount nullfs " + s.Mounts[2].Source + " " + root + "/local",
			"nmount nullfs " + s.Mounts[3].Source + " " + root + "/secrets",
			"nmount devfs " + root + "/dev ruleset=4",
		},
		"network": {
			"sysctl net.inet.ip.forwarding=1", // these two for the first pot
			"ifconfig bridge31368 create inet 10.192.0.1/10 group pot description nomad-driver-pot public bridge up",
			"ifconfig epair19294 create group pot description web up",
			"ifconfig bridge31368 addm epair19294a",
		},
		"loopback": {"ifconfig -j web lo0 inet 127.0.0.1/8 up"},
		"inside": {
			"ifconfig -j web epair19294b inet 10.192.0.2/10 up",
			"route -j web -q add default 10.192.0.1",
		},
		"pf":    {"pfctl -q -a pot-nat -f -", "pfctl -q -a pot-rdr/web -f -"},
		"limit": {"rctl -a jail:web:memoryuse:log=67108864 jail:web:memoryuse:sigkill=67108864 jail:web:pcpu:deny=50"},
		"jail": {
			"jail -c name=web path=" + root + " persist host.hostname=web exec.clean " +
				"allow.set_hostname=false allow.chflags=true osrelease=14.1-RELEASE-p5 " +
				"enforce_statfs=2 devfs_ruleset=4 sysvshm=new sysvsem=new sysvmsg=new " +
				"vnet vnet.interface=epair19294b allow.socket_af=true allow.raw_sockets=true",
			"cpuset -l 0-1 -j 1",
		},
	}, lanesOf(m.commands))
	inOrder(t, m.commands, "zfs clone", "nmount nullfs", "jail -c")
	inOrder(t, m.commands, "ifconfig bridge31368 addm", "jail -c")
	inOrder(t, m.commands, "ifconfig bridge31368 addm", "pfctl -q -a pot-rdr/web")
	inOrder(t, m.commands, "rctl -a", "jail -c", "nmount devfs")
	inOrder(t, m.commands, "jail -c", "ifconfig -j")
	must.Eq(t, "nat on vtnet0 inet from 10.192.0.0/10 to any -> (vtnet0:0)\n", m.anchors["pot-nat"])
	must.Eq(t, "rdr pass on vtnet0 inet proto tcp from any to 192.0.2.7 port 8080 -> 10.192.0.2 port 80\n", m.anchors["pot-rdr/web"])

	j, err := h.Jails.Find(t.Context(), "web")
	must.NoError(t, err)
	must.Eq(t, 1, j.ID)
	u, err := p.Usage(t.Context())
	must.NoError(t, err)
	must.Eq(t, int64(1<<20), u.MemoryBytes)

	m.commands = nil
	must.NoError(t, p.Destroy(t.Context()))
	must.Eq(t, lanes{
		"pf":    {"pfctl -q -a pot-rdr/web -F nat", "killstates 10.192.0.2"},
		"limit": {"rctl -r jail:web"},
		"network": {
			"ifconfig -a",
			"ifconfig epair19294a destroy",
			"ifconfig bridge31368 destroy",
		},
		"mount": {
			"unmount " + root + "/dev", "unmount " + root + "/secrets", "unmount " + root + "/local",
			"unmount " + root + "/alloc/logs", "unmount " + root + "/alloc/data", "unmount " + root + "/alloc",
		},
		"zfs": {"zfs destroy -rf tank/pot/jails/web"},
	}, lanesOf(m.commands))
	inOrder(t, m.commands, "unmount", "zfs destroy")
	must.Eq(t, before, m.state())
	must.NoError(t, p.Destroy(t.Context()))
}

// lanes are commands that are run one after the other, beside those of others.
type lanes map[string][]string

// lanesOf tells commands apart by what they act on.
func lanesOf(commands []string) lanes {
	all := lanes{}
	for _, c := range commands {
		lane := map[string]string{
			"zfs": "zfs", "nmount": "mount", "unmount": "mount", "sysctl": "network", "ifconfig": "network",
			"route": "inside", "pfctl": "pf", "killstates": "pf", "rctl": "limit", "jail": "jail", "cpuset": "jail",
		}[strings.Fields(c)[0]]
		switch {
		case strings.Contains(c, "-j web lo0"):
			lane = "loopback"
		case strings.HasPrefix(c, "ifconfig -j"):
			lane = "inside"
		}
		all[lane] = append(all[lane], c)
	}
	return all
}

// inOrder wants the last command of each beginning before the first of the next.
func inOrder(t *testing.T, commands []string, beginnings ...string) {
	t.Helper()
	at := -1
	for _, beginning := range beginnings {
		is := func(c string) bool { return strings.HasPrefix(c, beginning) }
		must.Greater(t, at, slices.IndexFunc(commands, is), must.Sprintf("%s: in %s", beginning, strings.Join(commands, "\n")))
		for i, c := range commands {
			if is(c) {
				at = i
			}
		}
	}
}

// A second start needs at most 15 commands; mounts are no commands.
func TestLife_commands(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	_, pots := m.host(t)
	first, second := web(t), web(t)
	first.Name = "first"
	second.Limits.CPUs = "" // one more
	_, err := pots.Create(t.Context(), first)
	must.NoError(t, err)
	m.commands = nil
	_, err = pots.Create(t.Context(), second)
	must.NoError(t, err)
	commands := slices.DeleteFunc(m.commands, func(c string) bool { return strings.HasPrefix(c, "nmount ") })
	must.LessEq(t, 11, len(commands), must.Sprint(strings.Join(commands, "\n")))

	t.Run("a bridge that is needed stays", func(t *testing.T) {
		m.commands = nil
		must.NoError(t, pots.Destroy(t.Context(), "web"))
		must.SliceNotContains(t, m.commands, "ifconfig -a") // what is known is not looked for
		must.MapContainsKey(t, m.ifaces, "bridge31368")
		must.NoError(t, pots.Destroy(t.Context(), "first"))
		must.MapEmpty(t, m.ifaces)
	})
}

// Each command of a start fails once, and nothing is left.
func TestLife_faults(t *testing.T) {
	leak.Check(t)
	for n := 1; ; n++ {
		m := newModel(t)
		before := m.state()
		_, pots := m.host(t)
		m.failAt = n
		p, err := pots.Create(t.Context(), web(t))
		if len(m.commands) < n {
			must.NoError(t, err)
			m.failAt = 0
			must.NoError(t, p.Destroy(t.Context()))
			must.Eq(t, before, m.state())
			must.Greater(t, 19, n)
			return
		}
		must.ErrorContains(t, err, "injected", must.Sprint(m.commands[n-1]))
		must.Eq(t, before, m.state(), must.Sprintf("after %s failed", m.commands[n-1]))
		names, err := pots.List()
		must.NoError(t, err)
		must.SliceEmpty(t, names)
	}
}

// A start that is called off leaves nothing.
func TestLife_cancelled(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	before := m.state()
	_, pots := m.host(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := pots.Create(ctx, web(t))
	must.ErrorIs(t, err, context.Canceled)
	must.Eq(t, before, m.state())
}

// What freebsd/README.md was surprised by.
func TestSurprises(t *testing.T) {
	leak.Check(t)
	t.Run("a devfs ruleset that is not there is found out", func(t *testing.T) {
		m := newModel(t)
		m.devMem = true
		before := m.state()
		_, pots := m.host(t)
		_, err := pots.Create(t.Context(), web(t))
		must.ErrorContains(t, err, "jail: /dev: devfs ruleset 4 is not there, the jail would see all of /dev: service devfs restart")
		must.Eq(t, before, m.state())
	})
	t.Run("a dataset that is busy after its jail's end is waited for", func(t *testing.T) {
		m := newModel(t)
		before := m.state()
		_, pots := m.host(t)
		_, err := pots.Create(t.Context(), web(t))
		must.NoError(t, err)
		m.busy = 3
		must.NoError(t, pots.Destroy(t.Context(), "web"))
		must.Eq(t, before, m.state())
	})
	t.Run("a receive that was cut leaves nothing", func(t *testing.T) {
		m := newModel(t)
		before := m.state()
		h, _ := m.host(t)
		err := h.Images.Receive(t.Context(), "_import-1", strings.NewReader("cut"))
		must.ErrorContains(t, err, "incomplete stream")
		must.Eq(t, before, m.state())
	})
	t.Run("children of a stream that are no image's are refused", func(t *testing.T) {
		m := newModel(t)
		before := m.state()
		h, _ := m.host(t)
		err := h.Images.Receive(t.Context(), "_import-1", strings.NewReader("more children"))
		must.ErrorContains(t, err, "no image of a pot")
		must.Eq(t, before, m.state())
	})
	t.Run("a layer is put on its image, and mounted below its parent", func(t *testing.T) {
		m := newModel(t)
		h, _ := m.host(t)
		must.NoError(t, h.Images.ReceiveLayer(t.Context(), "new", "web_1_0", "1700000000", strings.NewReader("layer"), nil))
		dir := m.place("tank/pot/jails/new")
		must.Eq(t, []string{"nmount zfs " + dir, "nmount zfs " + dir + "/m"}, m.commands[len(m.commands)-2:])
	})
	t.Run("a layer is on its image also where that is the pot's that was exported", func(t *testing.T) {
		m := newModel(t)
		m.addImage("web")
		h, _ := m.host(t)
		must.NoError(t, h.Images.ReceiveLayer(t.Context(), "new", "web_1_0", "1700000000", strings.NewReader("layer of its pot"), nil))
	})
	t.Run("a layer that found another origin than is meant, or none, is refused", func(t *testing.T) {
		for stream, want := range map[string]string{
			"layer of another's":   "it is a layer on tank/secrets@1, and must be on tank/pot/jails/web_1_0/m@1700000000",
			"layer of another pot": "it is a layer on tank/pot/jails/db/m@1800000000, and must be on tank/pot/jails/web_1_0/m@1700000000",
			"image":                "it is a layer on -, and must be on tank/pot/jails/web_1_0/m@1700000000",
		} {
			m := newModel(t)
			before := m.state()
			h, _ := m.host(t)
			err := h.Images.ReceiveLayer(t.Context(), "new", "web_1_0", "1700000000", strings.NewReader(stream), nil)
			must.ErrorContains(t, err, want)
			must.Eq(t, before, m.state())
		}
	})
	t.Run("a layer that is received as no layer is refused", func(t *testing.T) {
		m := newModel(t)
		before := m.state()
		h, _ := m.host(t)
		err := h.Images.Receive(t.Context(), "new", strings.NewReader("layer"))
		must.ErrorContains(t, err, "it is a layer on tank/pot/jails/web_1_0/m@1700000000, and must be on none")
		must.Eq(t, before, m.state())
	})
	t.Run("a jail with a process that does not end is an error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(t)
			m.stuck = true
			m.jails["web"] = &modelJail{id: 1}
			h, _ := m.host(t)
			err := h.Jails.Remove(t.Context(), "web")
			must.EqError(t, err, "remove jail web: it is dying, and 2 processes in it have not ended in 5s")
		})
	})
	t.Run("properties of a stream are not received", func(t *testing.T) {
		m := newModel(t)
		h, _ := m.host(t)
		must.NoError(t, h.Images.Receive(t.Context(), "new", strings.NewReader("image")))
		for _, property := range []string{"mountpoint", "canmount", "sharenfs", "setuid", "quota", "jailed"} {
			must.StrContains(t, m.commands[0], " -x "+property+" ")
		}
		must.StrHasPrefix(t, "zfs receive -u ", m.commands[0])
	})
	t.Run("a jail that is made and cannot have its interface is removed", func(t *testing.T) {
		m := newModel(t)
		h, _ := m.host(t)
		link := pot.Link{Pot: "x", Address: netip.MustParsePrefix("10.192.0.9/10"), Gateway: pot.DefaultNetwork.Gateway}
		must.NoError(t, h.Links.Attach(t.Context(), link))
		delete(m.ifaces, "epair28017b")
		err := h.Jails.Create(t.Context(), pot.Jail{Name: "x", Root: m.place("tank/pot/jails/web_1_0/m"), Hostname: "x",
			Network: pot.PublicBridge, Link: link})
		must.ErrorContains(t, err, "failed")
		must.MapEmpty(t, m.jails)
	})
	t.Run("names that jail(8) takes for numbers are refused", func(t *testing.T) {
		must.Error(t, pot.Name("123").Validate())
	})
	t.Run("a late kill for want of memory is proven by the kernel's message", func(t *testing.T) {
		m := newModel(t)
		h, _ := m.host(t)
		m.messages = "rctl: rule \"jail:web:memoryuse:log=67108864\" matched by pid 812 (hello), uid 0, jail web\n"
		for name, want := range map[pot.Name]bool{"web": true, "we": false, "web2": false} {
			got, err := h.Limits.OutOfMemory(t.Context(), name)
			must.NoError(t, err)
			must.Eq(t, want, got, must.Sprint(name))
		}
	})
	t.Run("an uplink's rule does not match packets from elsewhere", func(t *testing.T) {
		r := redirects{config: Config{Interface: "em0"}}
		must.Eq(t, "", r.rules(netip.MustParseAddr("10.192.0.2"), []pot.Port{{Proto: conf.TCP, Host: netip.MustParseAddrPort("127.0.0.1:80"), To: 80}}))
		must.Eq(t, "rdr pass on em0 inet proto udp from any to (em0) port 53 -> 10.192.0.2 port 5353\n",
			r.rules(netip.MustParseAddr("10.192.0.2"), []pot.Port{{Proto: conf.UDP, Host: netip.MustParseAddrPort("0.0.0.0:53"), To: 5353}}))
	})
}

// Errors of commands wrap the errors that callers ask for.
func TestTyped(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	h, _ := m.host(t)
	_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "nosuch", Name: "x"})
	must.ErrorContains(t, err, "image nosuch: zfs list ")
	must.True(t, errors.Is(err, fs.ErrNotExist), must.Sprint(err))
	must.ErrorIs(t, h.Images.Receive(t.Context(), "web_1_0", strings.NewReader("image")), fs.ErrExist)
	_, err = h.Datasets.Clone(t.Context(), pot.Clone{Origin: "web_1_0", Name: "x"})
	must.NoError(t, err)
	_, err = h.Datasets.Clone(t.Context(), pot.Clone{Origin: "web_1_0", Name: "x"})
	must.ErrorIs(t, err, fs.ErrExist)
	must.ErrorContains(t, h.Images.Destroy(t.Context(), "web_1_0"), "zfs destroy -rf tank/pot/jails/web_1_0: exit status 1")
	must.ErrorIs(t, h.Images.Destroy(t.Context(), "web_1_0"), zfs.ErrDependents)
	for _, name := range []string{"", ".", "..", "a/b", "../x", "/x", "-r", "a b", "a..b"} {
		must.Error(t, h.Images.Destroy(t.Context(), name), must.Sprint(name))
	}
	must.Eq(t, 0, strings.Count(fmt.Sprint(m.commands), "zfs destroy -rf tank/pot/jails/ "))
}

// Images are idle when nothing is cloned from them.
func TestIdle(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	m.addImage("other_1_0")
	h, _ := m.host(t)
	for _, name := range []string{"web_1_0", "other_1_0"} {
		must.NoError(t, h.Images.SetLabels(t.Context(), name, map[string]string{"nomad.pot:ref": "x"}))
	}
	idle := func() []string {
		names, err := h.Images.Idle(t.Context(), "nomad.pot:ref")
		must.NoError(t, err)
		return names
	}
	must.Eq(t, []string{"other_1_0", "web_1_0"}, idle())
	_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "web_1_0", Name: "x"})
	must.NoError(t, err)
	must.Eq(t, []string{"other_1_0"}, idle())
}
