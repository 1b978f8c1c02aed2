package pot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/image/conf"
)

// SystemConf is the part of pot's own configuration that this project uses. A field whose
// key is not set is "" (pot-reference 1.1).
type SystemConf struct {
	ZFSRoot   string // POT_ZFS_ROOT
	Cache     string // POT_CACHE
	Network   string // POT_NETWORK, in CIDR notation
	Gateway   string // POT_GATEWAY
	Interface string // POT_EXTIF
	Isolate   bool   // POT_ISOLATE_VNET_POTS

	FSRoot        string // POT_FS_ROOT
	Group         string // POT_GROUP
	DNS           string // POT_DNS_IP, reserved for the pot that serves DNS
	InterfaceAddr string // POT_EXTIF_ADDR
	Extra         string // POT_EXTRA_EXTIF, separated by blanks
	PFRulesHook   string // POT_EXPORT_PORTS_PF_RULES_HOOK

	Tmp   string // POT_TMP
	Stack string // POT_NETWORK_STACK, unchecked: use NetworkStack

	networks map[string]string // POT_NETWORK_x, of further uplinks
}

// NetworkStack returns the default stack of pots: as with pot, IPv4 unless POT_NETWORK_STACK
// is ipv6 or dual.
func (c *SystemConf) NetworkStack() Stack {
	switch s := Stack(c.Stack); s {
	case IPv6, Dual:
		return s
	}
	return IPv4
}

// Uplink is a further interface of the host that leads to a network.
type Uplink struct {
	Interface string
	Network   netip.Prefix // not valid if none is set: then no pot's traffic goes out there
}

// HostConfig is the configuration that a Host is opened with. A host ignores the fields that
// it has no use for.
type HostConfig struct {
	Dir        string // the host's state, and on Linux its datasets
	Supervisor string // path of pot-supervisor
	Network    Network

	// For FreeBSD.
	ZFSRoot       string
	Interface     string     // the uplink, "" if there is none
	InterfaceAddr netip.Addr // the uplink's address for NAT; not valid: its first
	Extra         []Uplink
	Isolate       bool   // whether pots on a bridge cannot reach each other
	StatusDir     string // directory of the shell tool's files about pots that run; "" for /tmp
	PFRulesHook   string // path of a program that prints the pf rules of published ports
}

// Apply takes over what pot's configuration says of uplinks.
func (h *HostConfig) Apply(c *SystemConf) error {
	h.Interface, h.Isolate, h.PFRulesHook, h.StatusDir = c.Interface, c.Isolate, c.PFRulesHook, c.Tmp
	var errs []error
	wrong := func(key, value string) { errs = append(errs, fmt.Errorf("%s: cannot be %.80q", key, value)) }
	for _, name := range append(strings.Fields(c.Extra), c.Interface) {
		if name != "" && !interfaces.MatchString(name) {
			wrong("POT_EXTIF", name)
		}
	}
	if c.InterfaceAddr != "" {
		var err error
		if h.InterfaceAddr, err = netip.ParseAddr(c.InterfaceAddr); err != nil {
			wrong("POT_EXTIF_ADDR", c.InterfaceAddr)
		}
	}
	for _, name := range strings.Fields(c.Extra) {
		u := Uplink{Interface: name}
		if text := c.networks[name]; text != "" {
			var err error
			if u.Network, err = netip.ParsePrefix(text); err != nil {
				wrong("POT_NETWORK_"+name, text)
			}
		}
		h.Extra = append(h.Extra, u)
	}
	if c.Tmp != "" && !filepath.IsAbs(c.Tmp) {
		wrong("POT_TMP", c.Tmp)
	}
	if c.PFRulesHook != "" && !filepath.IsAbs(c.PFRulesHook) {
		wrong("POT_EXPORT_PORTS_PF_RULES_HOOK", c.PFRulesHook)
	}
	return errors.Join(errs...)
}

// HostPaths are the default paths of a host.
type HostPaths struct {
	Dir       string // the driver's state
	Cache     string // image files; "" for a directory in Dir
	PotConfig string // the operator's file of pot's configuration; "" if the host has no pot
	PotRoot   string // POT_FS_ROOT; "" for Dir
}

// DefaultZFSRoot is the default of POT_ZFS_ROOT.
const DefaultZFSRoot = "zroot/pot"

// PathsFor returns the default paths of the host of that name: "freebsd" or "linux".
func PathsFor(host string) HostPaths {
	if host == "freebsd" {
		return HostPaths{Dir: "/var/db/nomad-driver-pot", Cache: "/var/cache/pot", PotConfig: "/usr/local/etc/pot/pot.conf", PotRoot: "/opt/pot"}
	}
	return HostPaths{Dir: "/var/lib/nomad-driver-pot"}
}

// PotConfs returns the files of pot's configuration, pot's defaults first. file is the
// operator's, and the defaults are beside it; "" has no files.
func PotConfs(file string) []string {
	if file == "" {
		return nil
	}
	return []string{filepath.Join(filepath.Dir(file), "pot.default.conf"), file}
}

// ReadSystemConf reads files of pot's configuration. A later file overrides an earlier one,
// and a file that does not exist is ignored.
func ReadSystemConf(files ...string) (SystemConf, error) {
	var c SystemConf
	for _, file := range files {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, err
		}
		err = c.read(f)
		f.Close()
		if err != nil {
			return c, fmt.Errorf("%s:%w", file, err)
		}
	}
	return c, nil
}

// read sets the fields that the file assigns. The file is a shell script, but no shell runs
// it here: a value that only a shell could expand is an error.
func (c *SystemConf) read(r io.Reader) error {
	lines := bufio.NewScanner(io.LimitReader(r, conf.MaxBytes))
	for n := 1; lines.Scan(); n++ {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		to := map[string]*string{
			"POT_ZFS_ROOT": &c.ZFSRoot, "POT_CACHE": &c.Cache, "POT_NETWORK": &c.Network,
			"POT_GATEWAY": &c.Gateway, "POT_EXTIF": &c.Interface, "POT_FS_ROOT": &c.FSRoot, "POT_GROUP": &c.Group,
			"POT_DNS_IP": &c.DNS, "POT_EXTIF_ADDR": &c.InterfaceAddr, "POT_TMP": &c.Tmp, "POT_EXTRA_EXTIF": &c.Extra,
			"POT_NETWORK_STACK":              &c.Stack,
			"POT_EXPORT_PORTS_PF_RULES_HOOK": &c.PFRulesHook,
		}[key]
		isolate, network := "", ""
		nic, further := strings.CutPrefix(key, "POT_NETWORK_")
		switch {
		case key == "POT_ISOLATE_VNET_POTS":
			to = &isolate
		case further && nic != "STACK":
			to = &network
		}
		if to == nil {
			continue
		}
		var err error
		if *to, err = shellWord(value); err != nil {
			return fmt.Errorf("%d: %s: %w", n, key, err)
		}
		if to == &isolate {
			c.Isolate = isTrue(isolate)
		}
		if to == &network {
			c.setNetwork(nic, network)
		}
	}
	return lines.Err()
}

func (c *SystemConf) setNetwork(nic, network string) {
	if c.networks == nil {
		c.networks = map[string]string{}
	}
	c.networks[nic] = network
}

// shellWord returns a value without its quotes and comment, as a shell would. A value that a
// shell would expand is an error.
func shellWord(text string) (string, error) {
	value, rest := text, ""
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		var closed bool
		if value, rest, closed = strings.Cut(text[1:], text[:1]); !closed {
			return "", fmt.Errorf("unterminated quote: %.80q", text)
		}
	} else if i := strings.IndexAny(text, " \t"); i >= 0 {
		value, rest = text[:i], text[i:]
	}
	if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' || strings.ContainsAny(value, "$`\\") {
		return "", fmt.Errorf("must be a plain value, not %.80q: no shell reads this file", text)
	}
	return value, nil
}

// isTrue reports whether pot reads word as yes.
func isTrue(word string) bool {
	switch strings.ToLower(word) {
	case "yes", "true", "on", "1":
		return true
	}
	return false
}
