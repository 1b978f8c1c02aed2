//go:build linux

package linux_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

// resolverVariable has a child of TestResolver_loopback, which has mounts of its own, be the
// test on a host whose resolver is on loopback. It holds the path of a supervisor.
const resolverVariable = "POT_TEST_RESOLVER"

// Pots on a host with systemd-resolved: those on a bridge have its real servers, or are said
// to have none, and those with the host's network have what the host has.
func TestResolver_loopback(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	if program := os.Getenv(resolverVariable); program != "" {
		testLoopbackResolver(t, program)
		return
	}
	_, err := os.Stat("/etc/resolv.conf")
	need.Have(t, "/etc/resolv.conf", err == nil)
	hosttest.Alone(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestResolver_loopback$", "-test.v")
	cmd.Env = append(os.Environ(), resolverVariable+"="+hosttest.Build(t, supervisor))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
}

func testLoopbackResolver(t *testing.T, program string) {
	const host = "nameserver 127.0.0.53\noptions edns0\nsearch example.org\n"
	must.NoError(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	file := filepath.Join(t.TempDir(), "resolv.conf")
	must.NoError(t, os.WriteFile(file, []byte(host), 0o644))
	must.NoError(t, syscall.Mount(file, "/etc/resolv.conf", "", syscall.MS_BIND, ""))
	defer syscall.Unmount("/etc/resolv.conf", syscall.MNT_DETACH)
	must.NoError(t, syscall.Mount("run", "/run", "tmpfs", 0, ""))
	defer syscall.Unmount("/run", syscall.MNT_DETACH)

	b := bed(t, program)
	must.NoError(t, b.Host.Images.Receive(t.Context(), "hello_1_0", b.Stream()))
	pots := life.Open(b.Host, potconf.Config{Dir: b.Dir, Network: pot.DefaultNetwork, Supervisor: program})
	resolvConf := func(network pot.NetworkMode, d pot.DNS) (string, []string) {
		p, err := pots.Create(t.Context(), pot.Spec{Name: "web", Image: "hello_1_0", Network: network, DNS: d})
		must.NoError(t, err)
		dir, err := b.Host.Datasets.Dir(t.Context(), "web")
		must.NoError(t, err)
		text, err := os.ReadFile(filepath.Join(dir, "m/etc/resolv.conf"))
		must.NoError(t, err)
		must.NoError(t, p.Destroy(t.Context()))
		return string(text), p.Notes()
	}
	text, notes := resolvConf(pot.PublicBridge, pot.DNS{})
	must.StrNotContains(t, text, "nameserver")
	must.SliceLen(t, 1, notes)
	must.StrContains(t, notes[0], "Names do not resolve: /etc/resolv.conf of this host names only 127.0.0.53")

	must.NoError(t, os.MkdirAll("/run/systemd/resolve", 0o755))
	must.NoError(t, os.WriteFile("/run/systemd/resolve/resolv.conf", []byte("nameserver 192.0.2.1\n"), 0o644))
	text, notes = resolvConf(pot.PublicBridge, pot.DNS{})
	must.StrHasSuffix(t, "options edns0\nsearch example.org\nnameserver 192.0.2.1\n", text)
	must.SliceEmpty(t, notes)

	text, notes = resolvConf(pot.HostNetwork, pot.DNS{})
	must.Eq(t, host, text)
	must.SliceEmpty(t, notes)

	text, _ = resolvConf(pot.PublicBridge, pot.DNS{Servers: []string{"192.0.2.2"}})
	must.Eq(t, "nameserver 192.0.2.2", strings.TrimSpace(text))
	must.NoError(t, b.Host.Images.Destroy(t.Context(), "hello_1_0"))
}
