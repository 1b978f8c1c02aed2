package driver

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/nomad/client/taskenv"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/image"
	"nomad-driver-pot/pot"
)

// Labels on a pot's dataset: whose it is.
const (
	labelAlloc = "nomad.pot:alloc"
	labelTask  = pot.LabelTask // TaskID
)

// plan is what a task is started from: all of Nomad's words translated.
type plan struct {
	ref        image.Ref
	terms      image.Terms
	pullWithin time.Duration
	spec       pot.Spec
	inPot      portMap
	unquoted   []string // arguments that were
}

// plan translates cfg; its error has every fault in it. What Nomad asks for
// beside the config block is carried out or refused, never passed over: Nomad
// asks no plugin of another process whether it can.
func (b *backend) plan(cfg *drivers.TaskConfig) (*plan, error) {
	c := new(TaskConfig)
	if err := cfg.DecodeDriverConfig(c); err != nil {
		return nil, fmt.Errorf("internal error: decode config: %w", err)
	}
	var f faults
	ref, login := c.ref(&f)
	p := &plan{ref: ref, terms: c.terms(&f, &b.sources, ref, login), pullWithin: c.pullWithin(&f, b.pull.Timeout)}
	c.check(&f)
	c.checkMode(&f, b.modes)
	published := c.publish(&f, cfg.Resources)
	p.inPot = published.inPot
	p.spec = pot.Spec{
		Name:     TaskID(cfg.ID).PotName(),
		Image:    p.ref.Dataset(),
		Labels:   map[string]string{labelAlloc: cfg.AllocID, labelTask: cfg.ID},
		Hostname: c.Hostname,
		Network:  c.mode(),
		Stack:    pot.Stack(c.NetworkStack),
		Bridge:   c.Bridge,
		Aliases:  c.aliases(&f),
		Ports:    published.ports,
		Mounts:   c.mounts(&f, cfg, b.volumes),
		Copies:   c.copies(&f, cfg, b.volumes),
		Hosts:    c.hosts(&f),
		DNS:      resolver(&f, cfg.DNS),
		Limits:   c.limits(&f, cfg.Resources, b.compute),
		User:     cfg.User,
		WorkDir:  c.WorkDir,
		Stdout:   output(cfg.StdoutPath),
		Stderr:   output(cfg.StderrPath),

		Attributes: c.attributes(&f, b.allowAttributes),
		DiskBytes:  size(&f, "config.limits.disk", c.Limits.Disk),
		WallClock:  duration(&f, "config.limits.wallclock", c.Limits.WallClock, 0),
	}
	p.spec.Command, p.unquoted = c.argv()
	for i, dev := range cfg.Devices {
		f.add(fmt.Sprintf("device[%d]", i), "not supported yet: %s", dev.HostPath)
	}
	if len(f) == 0 {
		f.joinSpec(p.spec.Validate())
	}
	return p, f.err()
}

// joinSpec adds the faults of a spec, by the names of what a job's author wrote.
func (f *faults) joinSpec(err error) {
	keys := map[string]string{"network": "network_mode", "stack": "network_stack", "bridge": "bridge", "ip": "ip"}
	var all faults
	all.join(err)
	for _, fault := range all {
		part, _, _ := strings.Cut(fault.Error(), ":")
		part, _, _ = strings.Cut(part, "[")
		if key, ok := keys[part]; ok {
			fault = fmt.Errorf("config.%s%w", key, behind{fault, part})
		}
		*f = append(*f, fault)
	}
}

// behind is a fault without the name that its text begins with.
type behind struct {
	error
	name string
}

func (b behind) Error() string { return strings.TrimPrefix(b.error.Error(), b.name) }

// output is where a command's goes. A task whose logs are disabled has /dev/null
// for a fifo (Nomad's logmon_hook.go).
func output(path string) string {
	if path == os.DevNull {
		return ""
	}
	return path
}

// env is the command's environment. Nomad made it before it could know of a
// port_map.
func (p *plan) env(cfg *drivers.TaskConfig) []string {
	cfg.Env = taskenv.SetPortMapEnvs(cfg.Env, p.inPot)
	return cfg.EnvList()
}

// resolver is the pot's resolver(5).
func resolver(f *faults, c *drivers.DNSConfig) pot.DNS {
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
