package driver

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/hashicorp/nomad/client/taskenv"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/image"
	"nomad-driver-pot/pot"
)

// plan is what a task is started from: the job, translated to images and pots.
type plan struct {
	ref         image.Ref        // of an image in files
	container   *image.Container // in its place
	terms       image.PullOptions
	pullTimeout time.Duration
	spec        pot.Spec
	portMap     portMap
	labels      portLabels
	asked       bool        // the job names the ports that are published
	mapped      bool        // by port_map
	joins       string      // the task whose network this one joins, or ""
	shared      *pot.Spec   // the group's network, if the task joins that
	line        commandLine // becomes spec.Command with the image: backend.readCommand
}

// plan translates cfg. Its error has every problem of the job. What Nomad asks for
// beside the config block is carried out or refused, never ignored: Nomad does not
// ask an external plugin whether it can.
func (b *backend) plan(cfg *drivers.TaskConfig) (*plan, error) {
	c := new(TaskConfig)
	if err := cfg.DecodeDriverConfig(c); err != nil {
		return nil, fmt.Errorf("internal error: decode config: %w", err)
	}
	var f problems
	ref, container, login := c.ref(&f)
	p := &plan{ref: ref, container: container, terms: c.terms(&f, &b.sources, ref, login), pullTimeout: c.pullTimeout(&f, b.pull.Timeout)}
	c.check(&f)
	c.checkMode(&f, b.modes)
	published := c.publish(&f, cfg.Resources)
	p.portMap, p.labels = published.portMap, published.labels
	p.asked, p.mapped = len(c.PortMap) > 0 || c.Ports != nil, len(c.PortMap) > 0
	mounts, mountPlaces := c.mounts(&f, cfg, b.volumes)
	copies, copyPlaces := c.copies(&f, cfg, b.volumes)
	p.spec = pot.Spec{
		Name:     TaskID(cfg.ID).PotName(),
		Image:    p.ref.Dataset(),
		Labels:   labels(cfg, b.extraLabels),
		Hostname: c.Hostname,
		Network:  c.mode(),
		Stack:    pot.Stack(c.NetworkStack),
		Bridge:   c.Bridge,
		Aliases:  c.aliases(&f),
		Ports:    published.ports,
		Mounts:   mounts,
		Copies:   copies,
		Hosts:    c.hosts(&f),
		DNS:      resolver(&f, cfg.DNS),
		Limits:   c.limits(&f, cfg.Resources, b.compute),
		User:     cfg.User,
		WorkDir:  c.WorkDir,
		Stdout:   output(cfg.StdoutPath),
		Stderr:   output(cfg.StderrPath),

		Hooks:      b.allowHooks,
		Attributes: c.attributes(&f, b.allowAttributes),
		DiskBytes:  size(&f, "config.limits.disk", c.Limits.Disk),
		WallClock:  duration(&f, "config.limits.wallclock", c.Limits.WallClock, 0),
	}
	p.spec.DNS.Fallback = b.dns
	p.planJoin(&f, c, cfg)
	p.line = c.commandLine()
	for i, dev := range cfg.Devices {
		f.add(fmt.Sprintf("device[%d]", i), "not supported yet: %s", dev.HostPath)
	}
	f.addFields(p.spec.Validate(), specKeys, map[string][]string{"mounts": mountPlaces, "copies": copyPlaces, "ports": published.places})
	b.checkHost(&f, c, &p.spec)
	return p, f.err()
}

// source returns what the image is pulled as.
func (p *plan) source() string {
	if p.container != nil {
		return p.container.String()
	}
	return p.ref.String()
}

// specKeys are the job's keys for fields of a pot.Spec.
var specKeys = map[string]string{
	"network": "config.network_mode", "stack": "config.network_stack", "bridge": "config.bridge", "ip": "config.ip",
	"ports": "config.ports", "hostname": "config.hostname", "hosts": "config.extra_hosts", "work_dir": "config.work_dir",
	"attributes": "config.attributes", "disk": "config.limits.disk", "wallclock": "config.limits.wallclock",
}

// output returns the path that a command writes to, "" for none. A task with disabled
// logs has /dev/null for a fifo (Nomad's logmon_hook.go).
func output(path string) string {
	if path == os.DevNull {
		return ""
	}
	return path
}

// setPortEnv adds the ports of port_map to the task's environment, which Nomad made
// without them, and returns it.
func (p *plan) setPortEnv(cfg *drivers.TaskConfig) []string {
	cfg.Env = taskenv.SetPortMapEnvs(cfg.Env, p.portMap)
	return cfg.EnvList()
}

// resolver returns the pot's resolver(5).
func resolver(f *problems, c *drivers.DNSConfig) pot.DNS {
	if c == nil {
		return pot.DNS{}
	}
	for i, server := range c.Servers {
		if _, err := netip.ParseAddr(server); err != nil {
			f.add(fmt.Sprintf("network.dns.servers[%d]", i), "must be an address, not %q", server)
		}
	}
	return pot.DNS{Servers: c.Servers, Searches: c.Searches, Options: c.Options}
}
