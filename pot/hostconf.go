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

// SystemConf is what pot's own configuration says of a host, as far as pots are
// kept by it; what is not set is "" (pot-reference 1.1).
type SystemConf struct {
	ZFSRoot   string // POT_ZFS_ROOT
	Cache     string // POT_CACHE
	Network   string // POT_NETWORK, in CIDR notation
	Gateway   string // POT_GATEWAY
	Interface string // POT_EXTIF
	Isolate   bool   // POT_ISOLATE_VNET_POTS

	FSRoot        string // POT_FS_ROOT
	Group         string // POT_GROUP
	DNS           string // POT_DNS_IP, kept free for the pot that answers there
	InterfaceAddr string // POT_EXTIF_ADDR
	Extra         string // POT_EXTRA_EXTIF, blank between
	PFRulesHook   string // POT_EXPORT_PORTS_PF_RULES_HOOK

	Tmp   string // POT_TMP
	Stack string // POT_NETWORK_STACK, as it is written: NetworkStack has its meaning

	networks map[string]string // POT_NETWORK_x, of further uplinks
}

// NetworkStack is what pots have that do not say: as with pot, IPv4 unless one of
// the other words is set.
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
	Network   netip.Prefix // not valid where none is said: then nothing goes out there
}

// HostConfig is what a machine's host is opened with. What a host has no use for
// is passed over.
type HostConfig struct {
	Dir        string // its own state, and on Linux its datasets
	Supervisor string // path of pot-supervisor
	Network    Network

	// Of FreeBSD.
	ZFSRoot       string
	Interface     string     // the uplink, "" if there is none
	InterfaceAddr netip.Addr // of the uplink, for what is translated; not valid: its first
	Extra         []Uplink
	Isolate       bool   // pots on a bridge do not reach each other
	StatusDir     string // where the shell tool looks for what runs; "" for /tmp
	PFRulesHook   string // path of a program that says the rules of published ports
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

// HostPaths are where things are on a host when nobody says.
type HostPaths struct {
	Dir       string // the driver's state
	Cache     string // image files; "" for a directory in Dir
	PotConfig string // pot's own configuration, whose defaults are beside it; "" if there is none
	PotRoot   string // POT_FS_ROOT; "" for Dir
}

// DefaultZFSRoot is POT_ZFS_ROOT where it is not set.
const DefaultZFSRoot = "zroot/pot"

// PathsFor are those of a host by its name.
func PathsFor(host string) HostPaths {
	if host == "freebsd" {
		return HostPaths{Dir: "/var/db/nomad-driver-pot", Cache: "/var/cache/pot", PotConfig: "/usr/local/etc/pot/pot.conf", PotRoot: "/opt/pot"}
	}
	return HostPaths{Dir: "/var/lib/nomad-driver-pot"}
}

// PotConfs are the files of pot's configuration of which file is the operator's.
func PotConfs(file string) []string {
	if file == "" {
		return nil
	}
	return []string{filepath.Join(filepath.Dir(file), "pot.default.conf"), file}
}

// ReadSystemConf reads configuration files of pot's, of which later ones win. One
// that is not there says nothing.
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

// read takes assignments. The file is a shell script, which no shell reads here:
// a value that only a shell could read is an error.
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

// shellWord is a value as a shell would have it, if it is plain.
func shellWord(text string) (string, error) {
	value, rest := text, ""
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		var closed bool
		if value, rest, closed = strings.Cut(text[1:], text[:1]); !closed {
			return "", fmt.Errorf("a quote is not closed: %.80q", text)
		}
	} else if i := strings.IndexAny(text, " \t"); i >= 0 {
		value, rest = text[:i], text[i:]
	}
	if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' || strings.ContainsAny(value, "$`\\") {
		return "", fmt.Errorf("only a shell can read %.80q", text)
	}
	return value, nil
}

// isTrue is pot's yes.
func isTrue(word string) bool {
	switch strings.ToLower(word) {
	case "yes", "true", "on", "1":
		return true
	}
	return false
}
