package inspect

import (
	"bytes"
	"fmt"
	"strings"

	"nomad-driver-pot/image/conf"
)

// inspectedConf holds the settings in an image's pot.conf, as they are written there: package
// conf keeps only what a start uses.
type inspectedConf struct {
	Command     string            `json:"command"`
	Release     string            `json:"release,omitempty"` // osrelease
	Base        string            `json:"base,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Network     string            `json:"network,omitempty"` // network_type
	Stack       string            `json:"stack,omitempty"`
	Address     string            `json:"address,omitempty"` // ip
	Bridge      string            `json:"bridge,omitempty"`
	DNS         string            `json:"dns,omitempty"`
	Ports       []string          `json:"ports,omitempty"`
	Hosts       []string          `json:"hosts,omitempty"` // lines of /etc/hosts
	Environment []variable        `json:"environment,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	CPUs        string            `json:"rss_cpus,omitempty"`
	Memory      string            `json:"rss_memory,omitempty"`
	DependsOn   []string          `json:"depends_on,omitempty"` // pots
}

// variable is an environment variable. Its value may be a secret.
type variable struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"` // nil unless values are shown
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
	c := &inspectedConf{Attributes: map[string]string{}}
	last := map[string]*string{
		"pot.base": &c.Base, "host.hostname": &c.Hostname, "network_type": &c.Network, "pot.stack": &c.Stack, "ip": &c.Address,
		"bridge": &c.Bridge, "pot.dns": &c.DNS, "pot.rss.cpus": &c.CPUs, "pot.rss.memory": &c.Memory,
	}
	err := conf.Each(bytes.NewReader(text), func(key, value string) {
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch name, isAttribute := strings.CutPrefix(key, "pot.attr."); {
		case isAttribute:
			c.Attributes[name] = value
		case last[key] != nil:
			*last[key] = value
		case key == "pot.export.ports":
			c.Ports = strings.Fields(value)
		case key == "pot.hosts":
			c.Hosts = append(c.Hosts, value)
		case key == "pot.depend":
			c.DependsOn = append(c.DependsOn, value)
		}
	})
	if err != nil {
		return nil, err
	}
	conf, err := conf.Read(bytes.NewReader(text)) // command, release and environment as in a pot
	if err != nil {
		return nil, err
	}
	c.Command, c.Release = conf.Cmd, conf.Release
	for _, v := range conf.Env {
		name, value, _ := strings.Cut(v, "=")
		shown := variable{Name: name}
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
