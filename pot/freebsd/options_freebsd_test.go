package freebsd_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/run"
)

// TestOptions tests options that FreeBSD alone has: the kernel and the commands accept them,
// and they are removed again.
func TestOptions(t *testing.T) {
	leak.Check(t)
	open := scratch(t, run.Host{})
	program := hosttest.Build(t, supervisor)
	h := open(program)
	must.NoError(t, h.Images.Receive(t.Context(), "hello", hello()))
	state := t.TempDir()
	pots := life.Open(h, potconf.Config{Dir: state, Network: pot.DefaultNetwork, Supervisor: program})

	// start is a pot that serves; with it goes all that it had.
	start := func(t *testing.T, s pot.Spec) *life.Pot {
		before, err := machine.Look(state)
		must.NoError(t, err)
		s.Name, s.Image = "web", "hello"
		port := ":8080"
		if s.Network == pot.HostNetwork {
			port = ":0" // another program of this machine may have any other
		}
		s.Command = []string{"/bin/hello", "serve", port}
		p, err := pots.Create(t.Context(), s)
		must.NoError(t, err)
		t.Cleanup(func() {
			must.NoError(t, pots.Destroy(context.Background(), "web"))
			after, err := machine.Look(state)
			must.NoError(t, err)
			must.SliceEmpty(t, after.Since(before))
		})
		must.NoError(t, p.Start(t.Context(), nil))
		return p
	}
	exec := func(t *testing.T, p *life.Pot, args ...string) string {
		var out bytes.Buffer
		exit, err := p.Exec(t.Context(), life.Exec{Argv: append([]string{"/bin/hello"}, args...), Stdout: &out, Stderr: &out})
		must.NoError(t, err)
		must.Eq(t, 0, exit.Code, must.Sprint(out.String()))
		return out.String()
	}
	command := func(t *testing.T, argv ...string) string {
		out, err := run.Host{}.Run(t.Context(), nil, argv...)
		must.NoError(t, err)
		return out
	}
	answers := func(t *testing.T, at string) {
		var last error
		for range 100 {
			resp, err := http.Get("http://" + at + "/")
			if last = err; err == nil {
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				must.StrContains(t, string(body), "hello from web")
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		must.NoError(t, last)
	}

	t.Run("addresses of its own on the host's interfaces", func(t *testing.T) {
		p := start(t, pot.Spec{Network: pot.Alias, Aliases: []pot.InterfaceAddr{
			{Interface: "lo0", Addr: netip.MustParseAddr("192.0.2.77")},
			{Interface: "lo0", Addr: netip.MustParseAddr("2001:db8::77")},
		}})
		answers(t, "192.0.2.77:8080")
		answers(t, "[2001:db8::77]:8080")
		out := exec(t, p, "id")
		must.StrContains(t, out, "addr 192.0.2.77/32")
		must.StrContains(t, out, "addr 2001:db8::77/128")
		must.StrNotContains(t, out, "127.0.0.1/8")
	})
	t.Run("both families on the bridges", func(t *testing.T) {
		if os.Getenv("POT_TEST_EXTIF") == "" {
			t.Skip("POT_TEST_EXTIF does not say which interface is the uplink")
		}
		p := start(t, pot.Spec{Network: pot.PublicBridge, Stack: pot.Dual})
		answers(t, netip.AddrPortFrom(p.Address(), 8080).String())
		out := exec(t, p, "id")
		must.StrContains(t, out, "addr "+p.Address().String()+"/10")
		must.StrContains(t, out, "addr fe80::")
		t.Log(out)
	})
	t.Run("one family of the host's network", func(t *testing.T) {
		p := start(t, pot.Spec{Network: pot.HostNetwork, Stack: pot.IPv4})
		must.StrNotContains(t, exec(t, p, "id"), "addr ::1/128")
	})
	t.Run("attributes are parameters and mounts", func(t *testing.T) {
		p := start(t, pot.Spec{Network: pot.NoNetwork, Attributes: conf.Attributes{
			"enforce_statfs": "1", "mount": "YES", "nullfs": "YES", "tmpfs": "YES", "zfs": "YES",
			"fdescfs": "YES", "procfs": "YES", "no-tmpfs": "NO", "mlock": "YES", "children": "3", "sysvshm": "inherit", "sysvsem": "disable",
			"raw_sockets": "NO", "devfs_ruleset": "4",
		}})
		params := command(t, "jls", "-j", "web", "-n")
		for _, want := range []string{"enforce_statfs=1", "allow.mount ", "allow.mount.nullfs",
			"allow.mount.tmpfs", "allow.mount.zfs", "allow.mlock", "children.max=3", "sysvshm=inherit", "sysvsem=disable", "sysvmsg=new",
			"allow.noraw_sockets", "allow.socket_af", "devfs_ruleset=4", "persist"} {
			must.StrContains(t, params+" ", want)
		}
		must.StrContains(t, exec(t, p, "ls", "/proc"), "curproc")
		must.StrContains(t, exec(t, p, "ls", "/dev/fd"), "0")
		exec(t, p, "write", "/tmp/x", "y")
	})
	t.Run("Linux's file systems may be mounted", func(t *testing.T) {
		for _, module := range []string{"linprocfs", "linsysfs"} {
			if _, err := (run.Host{}).Run(t.Context(), nil, "kldload", "-n", module); err != nil {
				t.Skipf("this kernel has no %s: %v", module, err)
			}
		}
		start(t, pot.Spec{Network: pot.NoNetwork, Attributes: conf.Attributes{"mount": "YES", "linprocfs": "YES", "linsysfs": "YES"}})
		params := command(t, "jls", "-j", "web", "-n")
		must.StrContains(t, params, "allow.mount.linprocfs")
		must.StrContains(t, params, "allow.mount.linsysfs")
	})
	t.Run("a devfs ruleset that is not there leaves nothing", func(t *testing.T) {
		before, err := machine.Look(state)
		must.NoError(t, err)
		_, err = pots.Create(t.Context(), pot.Spec{Name: "web", Image: "hello", Network: pot.NoNetwork, Attributes: conf.Attributes{"devfs_ruleset": "99"}})
		must.ErrorContains(t, err, "devfs ruleset 99 is not there, the jail would see all of /dev")
		after, err := machine.Look(state)
		must.NoError(t, err)
		must.SliceEmpty(t, after.Since(before))
	})
	t.Run("all limits are the kernel's", func(t *testing.T) {
		start(t, pot.Spec{Network: pot.NoNetwork, Limits: pot.Limits{
			MemoryBytes: 64 << 20, CPUPercent: 50, Processes: 20, OpenFiles: 1000,
			ReadBPS: 1 << 20, WriteBPS: 2 << 20, ReadIOPS: 100, WriteIOPS: 200,
		}})
		rules := command(t, "rctl", "jail:web")
		for _, want := range []string{"memoryuse:sigkill=67108864", "pcpu:deny=50", "maxproc:deny=20", "openfiles:deny=1000",
			"readbps:throttle=1048576", "writebps:throttle=2097152", "readiops:throttle=100", "writeiops:throttle=200"} {
			must.StrContains(t, rules, want)
		}
	})
	t.Run("a disk that is full is full", func(t *testing.T) {
		start(t, pot.Spec{Network: pot.NoNetwork, DiskBytes: 4 << 20})
		dir, err := h.Datasets.Dir(t.Context(), "web")
		must.NoError(t, err)
		noise := make([]byte, 16<<20)
		for i := range noise {
			noise[i] = byte(i*i>>8 ^ i)
		}
		f, err := os.Create(filepath.Join(dir, "m/big"))
		must.NoError(t, err)
		defer f.Close()
		_, err = f.Write([]byte(strings.Repeat("x", 4096)))
		must.NoError(t, err)
		var full error
		for i := 0; full == nil && i < 64; i++ {
			if _, full = f.Write(noise); full == nil {
				full = f.Sync()
			}
		}
		must.ErrorIs(t, full, syscall.EDQUOT)
	})
	must.NoError(t, h.Images.Destroy(t.Context(), "hello"))
}
