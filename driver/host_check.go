package driver

import (
	"context"
	"fmt"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
)

// checkHost adds the problems that a job has on this client's host: what it asks for and
// the host does not have. They would fail the start anyway, after the image was pulled.
func (b *backend) checkHost(f *problems, c *TaskConfig, s *pot.Spec) {
	if b.pots == nil {
		return
	}
	host := b.pots.Host()
	if host.Name == "linux" {
		c.checkLinux(f, s)
	} else if s.Stack.Has6() && s.Network == pot.PublicBridge {
		checkIPv6(f, host)
	}
	if s.Network == pot.PrivateBridge && pot.ValidateBridge(s.Bridge) == nil {
		b.checkBridge(f, s.Bridge)
	}
}

// checkLinux adds a problem for each key that the Linux development host does not have.
func (c *TaskConfig) checkLinux(f *problems, s *pot.Spec) {
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"limits.disk", c.Limits.Disk != ""},
		{"limits.openfiles", c.Limits.OpenFiles > 0},
		{"limits.readbps", c.Limits.ReadBPS != ""},
		{"limits.writebps", c.Limits.WriteBPS != ""},
		{"limits.readiops", c.Limits.ReadIOPS > 0},
		{"limits.writeiops", c.Limits.WriteIOPS > 0},
	} {
		if key.set && !f.have("config."+key.name) {
			f.add("config."+key.name, "is for FreeBSD only, and this client's host is Linux: %s", elsewhere)
		}
	}
	switch {
	case s.Network == pot.PublicBridge && s.Stack.Has6():
		f.add("config.network_stack", "%s is for FreeBSD only, and this client's host is Linux: write \"ipv4\", or %s", s.Stack, elsewhere)
	case s.Network == pot.HostNetwork && s.Stack != "":
		f.add("config.network_stack", "cannot be set with the host's network on Linux: leave it out, or %s", elsewhere)
	case s.Network == pot.Alias:
		f.add("config.network_mode", "alias is for FreeBSD only, and this client's host is Linux: %s", elsewhere)
	}
}

// elsewhere says how a job is placed on another client.
const elsewhere = `add a constraint with attribute = "${attr.driver.pot.host}" and value = "freebsd"`

// checkIPv6 adds a problem if pots can have no IPv6 on a host that has it otherwise.
func checkIPv6(f *problems, host pot.Host) {
	ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
	defer cancel()
	for _, found := range host.Check(ctx) {
		if found.Key == "ipv6" && found.Severity != pot.Info {
			f.add("config.network_stack", "%s", found.Text)
		}
	}
}

// checkBridge adds a problem if there is no private bridge of that name.
func (b *backend) checkBridge(f *problems, name string) {
	bridges, err := b.pots.Bridges()
	if err != nil {
		f.add("config.bridge", "%w", err)
		return
	}
	for _, have := range bridges {
		if have.Name == name {
			return
		}
	}
	command := fmt.Sprintf("pot create-private-bridge -B %s -S 10", name)
	if dir := b.potConfig.Dir; dir != potconf.PathsFor(b.pots.Host().Name).Dir {
		command += " --dir " + dir
	}
	f.add("config.bridge", "no such bridge on this client: %q: make it there with %s, for 10 pots", name, command)
}
