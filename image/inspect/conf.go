package inspect

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/schema"
)

// inspectedConf holds the settings in an image's pot.conf, as they are written there: package
// conf keeps only what a start uses.
type inspectedConf struct {
	Command     string            `json:"command"`
	User        string            `json:"user,omitempty"`
	WorkDir     string            `json:"work_dir,omitempty"`
	Container   string            `json:"source_digest,omitempty"` // of the container image that it was built from
	Release     string            `json:"release,omitempty"`       // osrelease
	Base        string            `json:"base,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Network     schema.Network    `json:"network"`
	DNS         string            `json:"dns,omitempty"`
	Ports       []schema.Port     `json:"ports"` // without those that are written wrongly
	Hosts       []string          `json:"hosts"` // lines of /etc/hosts
	Environment []schema.Variable `json:"environment"`
	Attributes  map[string]string `json:"attributes"`
	Limits      schema.Limits     `json:"limits"`     // 0 also for one that is written wrongly
	DependsOn   []string          `json:"depends_on"` // pots

	written // for Text
}

// written are settings as pot.conf has them: of an image, they may be anything.
type written struct{ network, stack, address, bridge, cpus, memory, ports string }

// parse sets the fields that other commands have too from what is written.
func (c *inspectedConf) parse() {
	c.Network = schema.Network{Mode: cmp.Or(c.network, "inherit"), Stack: c.stack, Bridge: c.bridge, Addresses: append([]string{}, strings.Fields(c.address)...)}
	for text := range strings.FieldsSeq(c.ports) {
		if e, err := conf.ParseExport(text); err == nil {
			c.Ports = append(c.Ports, schema.Port{Protocol: string(e.Proto), Port: e.Port, HostPort: e.Host})
		}
	}
	if n, err := strconv.ParseUint(c.cpus, 10, 16); err == nil {
		c.Limits.CPUs = int(n)
	}
	if n, err := conf.ParseMemory(c.memory); err == nil {
		c.Limits.MemoryBytes = n
	}
}

// readConf reads the image's pot.conf. If it cannot, it adds a warning: the rest of the
// report is still useful.
func (r *Report) readConf(seen *Seen) {
	e, there := seen.conf[potConfFile]
	switch {
	case !there:
		r.add("conf", potConfFile+": missing")
		return
	case !e.Mode.IsRegular(): // seen.oddPlace has it
		return
	case e.Content == nil:
		r.add("conf", "%s: %d bytes: too large to read", potConfFile, e.Size)
		return
	}
	c, err := newInspectedConf(e.Content, r.values)
	if err != nil {
		r.add("conf", "%v", err)
		return
	}
	r.Conf = c
}

// newInspectedConf reads a pot.conf. If a key is repeated the last value counts, without
// quotes, except for keys that are lists.
func newInspectedConf(text []byte, values bool) (*inspectedConf, error) {
	c := &inspectedConf{
		Ports: []schema.Port{}, Hosts: []string{}, Environment: []schema.Variable{}, DependsOn: []string{}, Attributes: map[string]string{},
	}
	last := map[string]*string{
		"pot.base": &c.Base, "host.hostname": &c.Hostname, "network_type": &c.network, "pot.stack": &c.stack, "ip": &c.address,
		"bridge": &c.bridge, "pot.dns": &c.DNS, "pot.rss.cpus": &c.cpus, "pot.rss.memory": &c.memory, "pot.export.ports": &c.ports, "oci.digest": &c.Container,
	}
	err := conf.Each(bytes.NewReader(text), func(key, value string) {
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch name, isAttribute := strings.CutPrefix(key, "pot.attr."); {
		case isAttribute:
			c.Attributes[name] = value
		case last[key] != nil:
			*last[key] = value
		case key == "pot.hosts":
			c.Hosts = append(c.Hosts, value)
		case key == "pot.depend":
			c.DependsOn = append(c.DependsOn, value)
		}
	})
	if err != nil {
		return nil, err
	}
	conf, err := conf.Read(bytes.NewReader(text)) // command, user, release and environment as in a pot
	if err != nil {
		return nil, err
	}
	c.Command, c.User, c.WorkDir, c.Release = conf.Cmd, conf.User, conf.WorkDir, conf.Release
	c.parse()
	for _, v := range conf.Env {
		name, value, _ := strings.Cut(v, "=")
		shown := schema.Variable{Name: name}
		if values {
			shown.Value = &value
		}
		c.Environment = append(c.Environment, shown)
	}
	return c, nil
}

// odd returns the attributes that differ from a new pot's, as name=value.
func (c *inspectedConf) odd() (list []string) {
	for _, name := range sortedKeys(c.Attributes) {
		if value := c.Attributes[name]; conf.NewPotAttribute(name) != value {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// variables returns the environment for display: names, or NAME=value if values are shown.
func (c *inspectedConf) variables() (list []string) {
	for _, v := range c.Environment {
		if v.Value == nil {
			list = append(list, v.Name)
		} else {
			list = append(list, fmt.Sprintf("%s=%s", v.Name, *v.Value))
		}
	}
	return list
}
