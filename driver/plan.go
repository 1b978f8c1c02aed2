package driver

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/nomad/client/taskenv"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/image"
	"nomad-driver-pot/pot"
)

// plan is what a task is started from: all of Nomad's words translated.
type plan struct {
	ref         image.Ref
	terms       image.Terms
	pullTimeout time.Duration
	spec        pot.Spec
	portMap     portMap
	labels      portLabels
	asked       bool     // the job names the ports that are published
	mapped      bool     // by port_map
	unquoted    []string // arguments that were
}

// plan translates cfg; its error has every fault in it. What Nomad asks for
// beside the config block is carried out or refused, never passed over: Nomad
// asks no plugin of another process whether it can.
func (b *backend) plan(cfg *drivers.TaskConfig) (*plan, error) {
	c := new(TaskConfig)
	if err := cfg.DecodeDriverConfig(c); err != nil {
		return nil, fmt.Errorf("internal error: decode config: %w", err)
	}
	var f problems
	ref, login := c.ref(&f)
	p := &plan{ref: ref, terms: c.terms(&f, &b.sources, ref, login), pullTimeout: c.pullTimeout(&f, b.pull.Timeout)}
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
	p.spec.Command, p.unquoted = c.argv()
	for i, dev := range cfg.Devices {
		f.add(fmt.Sprintf("device[%d]", i), "not supported yet: %s", dev.HostPath)
	}
	f.joinSpec(p.spec.Validate(), map[string][]string{"mounts": mountPlaces, "copies": copyPlaces})
	return p, f.err()
}

// specKeys are what parts of a spec are called in a job.
var specKeys = map[string]string{
	"network": "config.network_mode", "stack": "config.network_stack", "bridge": "config.bridge", "ip": "config.ip",
	"ports": "config.ports", "hostname": "config.hostname", "work_dir": "config.work_dir", "attributes": "config.attributes",
	"disk": "config.limits.disk", "wallclock": "config.limits.wallclock",
}

// specFault is where in a spec a fault is, and what of that.
var specFault = regexp.MustCompile(`^([a-z_]+)(?:\[(\d+)\])?: `)

// joinSpec adds the faults of a spec, each at the place that a job's author wrote,
// or at one of places for the parts that have several. One of a place where there
// is a fault already says no more.
func (f *problems) joinSpec(err error, places map[string][]string) {
	taken := map[string]bool{}
	for _, fault := range *f {
		where, _, _ := strings.Cut(fault.Error(), ": ")
		key, _, _ := strings.Cut(where, "[")
		taken[where], taken[key] = true, true
	}
	var all problems
	all.join(err)
	for _, fault := range all {
		part := specFault.FindStringSubmatch(fault.Error())
		if part == nil {
			*f = append(*f, fault)
			continue
		}
		where := cmp.Or(specKeys[part[1]], part[1])
		if i, err := strconv.Atoi(part[2]); err == nil && i < len(places[part[1]]) {
			where = places[part[1]][i]
		}
		if !taken[where] {
			*f = append(*f, elsewhere{fault, where + strings.TrimPrefix(fault.Error(), strings.TrimSuffix(part[0], ": "))})
		}
	}
}

// elsewhere is a fault that is told of another place.
type elsewhere struct {
	error
	text string
}

func (e elsewhere) Error() string { return e.text }

func (e elsewhere) Unwrap() error { return e.error }

// output is where a command's goes. A task whose logs are disabled has /dev/null
// for a fifo (Nomad's logmon_hook.go).
func output(path string) string {
	if path == os.DevNull {
		return ""
	}
	return path
}

// setPortEnv is the command's environment. Nomad made it before it could know of a
// port_map.
func (p *plan) setPortEnv(cfg *drivers.TaskConfig) []string {
	cfg.Env = taskenv.SetPortMapEnvs(cfg.Env, p.portMap)
	return cfg.EnvList()
}

// resolver is the pot's resolver(5).
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
