package driver

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// taskConfigSpec is the schema of a task's config { … }. It has all keys of
// nomad-pot-driver 0.10, with the same meaning.
var taskConfigSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"image":              hclspec.NewAttr("image", "string", false), // checkMissing says what to write
	"pot":                hclspec.NewAttr("pot", "string", false),
	"tag":                hclspec.NewAttr("tag", "any", false), // a number is told from a string
	"digest":             hclspec.NewAttr("digest", "string", false),
	"image_pull_timeout": hclspec.NewAttr("image_pull_timeout", "string", false),
	"signify_pubkey":     hclspec.NewAttr("signify_pubkey", "string", false),
	"force_pull":         hclspec.NewAttr("force_pull", "bool", false),
	"auth":               hclspec.NewBlock("auth", false, authSpec),
	"auth_soft_fail":     hclspec.NewAttr("auth_soft_fail", "bool", false),
	"command":            hclspec.NewAttr("command", "string", false),
	"args":               hclspec.NewAttr("args", "list(string)", false),
	"work_dir":           hclspec.NewAttr("work_dir", "string", false),
	"hostname":           hclspec.NewAttr("hostname", "string", false),
	"network_mode":       hclspec.NewAttr("network_mode", "string", false),
	"ports":              hclspec.NewAttr("ports", "list(string)", false),
	"port_map":           hclspec.NewAttr("port_map", "list(map(string))", false),
	"extra_hosts":        hclspec.NewAttr("extra_hosts", "list(string)", false),
	"mount":              hclspec.NewAttr("mount", "list(string)", false),
	"mount_read_only":    hclspec.NewAttr("mount_read_only", "list(string)", false),
	"copy":               hclspec.NewAttr("copy", "list(string)", false),
	"attributes":         hclspec.NewAttr("attributes", "list(string)", false),
	"cpu_hard_limit":     hclspec.NewAttr("cpu_hard_limit", "bool", false),
	"bridge":             hclspec.NewAttr("bridge", "string", false),
	"network_stack":      hclspec.NewAttr("network_stack", "string", false),
	"ip":                 hclspec.NewAttr("ip", "list(string)", false),
	"limits":             hclspec.NewBlock("limits", false, limitsSpec),
})

// TaskConfig is a task's config as the job's author writes it.
type TaskConfig struct {
	Image            string              `codec:"image"`              // image.Ref.Source
	Pot              string              `codec:"pot"`                // image.Ref.Name
	Tag              any                 `codec:"tag"`                // image.Ref.Tag; nil, or a string
	Digest           string              `codec:"digest"`             // that the image must have
	ImagePullTimeout string              `codec:"image_pull_timeout"` // at most the plugin's
	SignifyPubkey    string              `codec:"signify_pubkey"`     // path on the client
	ForcePull        bool                `codec:"force_pull"`         // image.PullOptions.ForcePull
	Auth             AuthConfig          `codec:"auth"`
	AuthSoftFail     bool                `codec:"auth_soft_fail"` // image.PullOptions.AuthSoftFail
	Command          string              `codec:"command"`        // none: the image's own
	Args             []string            `codec:"args"`
	WorkDir          string              `codec:"work_dir"` // in the pot
	Hostname         string              `codec:"hostname"`
	NetworkMode      string              `codec:"network_mode"`
	Ports            []string            `codec:"ports"`           // labels; nil: all that no other task has
	PortMap          []map[string]string `codec:"port_map"`        // label to port in the pot, a map for each block
	ExtraHosts       []string            `codec:"extra_hosts"`     // "name:address"
	Mount            []string            `codec:"mount"`           // "source:target"
	MountReadOnly    []string            `codec:"mount_read_only"` // likewise
	Copy             []string            `codec:"copy"`            // likewise
	Attributes       []string            `codec:"attributes"`      // "name:value"
	CPUHardLimit     bool                `codec:"cpu_hard_limit"`
	Bridge           string              `codec:"bridge"`        // of network_mode private-bridge
	NetworkStack     string              `codec:"network_stack"` // ipv4, ipv6 or dual
	IP               []string            `codec:"ip"`            // of network_mode alias: "address" or "interface|address"
	Limits           LimitsConfig        `codec:"limits"`
}

// inherit is pot's name for network mode host.
const inherit = "inherit"

// mode returns the network mode of the job.
func (c *TaskConfig) mode() pot.NetworkMode {
	switch c.NetworkMode {
	case "":
		return pot.PublicBridge
	case inherit:
		return pot.HostNetwork
	}
	if task, group := c.joins(); task != "" || group {
		return pot.Joined
	}
	return pot.NetworkMode(c.NetworkMode)
}

// check adds the problems that c has on any client.
func (c *TaskConfig) check(f *problems) {
	if c.Command == "" && len(c.Args) > 0 && !slices.Equal(c.Args, []string{""}) {
		f.add("config.args", "needs command to be set")
	}
	if c.WorkDir != "" && !path.IsAbs(c.WorkDir) {
		f.add("config.work_dir", "must be an absolute path, not %q", c.WorkDir)
	}
	if c.Hostname != "" && !hostNames.MatchString(c.Hostname) {
		f.add("config.hostname", "must be letters, digits, - and ., at most 63 in all, not %q", c.Hostname)
	}
}

// hostNames are names of hosts (RFC 1123), no longer than every host accepts (Linux
// HOST_NAME_MAX: 64), and with the _ that names of pots may have.
var hostNames = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// checkMode adds a problem if this client does not allow the network mode.
func (c *TaskConfig) checkMode(f *problems, allowed []pot.NetworkMode) {
	const where = "config.network_mode"
	mode := c.mode()
	if task, group := c.joins(); group {
		mode = groupNetwork
	} else if task != "" {
		mode = taskNetwork
	}
	var usable []string
	for _, m := range allowed {
		if m == taskNetwork {
			m += ":NAME"
		}
		usable = append(usable, string(m))
	}
	switch {
	case !slices.Contains(networkModes, mode), c.NetworkMode == string(taskNetwork):
		f.add(where, "no such mode: %q: use %s", c.NetworkMode, list(usable, "or"))
	case !slices.Contains(allowed, mode):
		f.add(where, "%s is not allowed on this client: use %s", mode, list(usable, "or"))
	}
}

// pullTimeout returns the limit of the wait for the image. The plugin's pull.timeout
// limits one fetch; the import, and the wait for other fetches, may take as long again.
func (c *TaskConfig) pullTimeout(f *problems, most time.Duration) time.Duration {
	const where = "config.image_pull_timeout"
	d := duration(f, where, c.ImagePullTimeout, 2*most)
	if c.ImagePullTimeout != "" && d > most {
		f.add(where, "must be at most this client's pull.timeout, %s, not %s", most, d)
	}
	return d
}

// hosts returns the extra lines of the pot's hosts(5), with an element for each of
// extra_hosts, so that indexes are the same.
func (c *TaskConfig) hosts(f *problems) []pot.HostEntry {
	var all []pot.HostEntry
	for i, entry := range c.ExtraHosts {
		host, addr, _ := strings.Cut(entry, ":")
		ip, err := netip.ParseAddr(strings.Trim(addr, "[]"))
		if err != nil || !hostNames.MatchString(host) {
			f.add(fmt.Sprintf("config.extra_hosts[%d]", i), "must be NAME:ADDRESS, not %q", entry)
		}
		all = append(all, pot.HostEntry{Name: host, Addr: ip})
	}
	return all
}

// aliases returns the addresses of network_mode alias, with an element for each of ip, so
// that indexes are the same.
func (c *TaskConfig) aliases(f *problems) []pot.InterfaceAddr {
	var all []pot.InterfaceAddr
	for i, text := range c.IP {
		a, err := pot.ParseInterfaceAddr(text)
		if err != nil {
			f.add(fmt.Sprintf("config.ip[%d]", i), "%w", err)
		}
		all = append(all, a)
	}
	return all
}

// attributes returns the attributes of the task's jail. The operator must allow an
// attribute that extends what a task may do.
func (c *TaskConfig) attributes(f *problems, allowed []string) conf.Attributes {
	var all conf.Attributes
	for i, text := range c.Attributes {
		where := fmt.Sprintf("config.attributes[%d]", i)
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			f.add(where, "must be NAME:VALUE, not %q", text)
			continue
		}
		if _, taken := all[name]; taken {
			f.add(where, "%s is set twice", name)
		}
		value, err := conf.ParseTaskAttribute(name, value)
		if err != nil {
			f.add(where, "%w", err)
			continue
		}
		if all == nil {
			all = conf.Attributes{}
		}
		all[name] = value
	}
	for _, name := range all.Changed() {
		if !slices.Contains(allowed, name) {
			f.add("config.attributes", "%s is not allowed on this client: its plugin's allow_attributes must have it", name)
		}
	}
	return all
}
