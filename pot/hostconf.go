package pot

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
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

// apply sets what pot.conf says of uplinks, and adds the problems of that.
func (h *HostConfig) apply(c *SystemConf, errs *fieldErrors) {
	h.Interface, h.Isolate, h.PFRulesHook, h.StatusDir = c.Interface, c.Isolate, c.PFRulesHook, c.Tmp
	invalid := func(key, rule, value string) { errs.add(key, "must be %s, not %.80q", rule, value) }
	for _, name := range append(strings.Fields(c.Extra), c.Interface) {
		if name != "" && !interfaces.MatchString(name) {
			invalid("POT_EXTIF", "an interface", name)
		}
	}
	if c.InterfaceAddr != "" {
		var err error
		if h.InterfaceAddr, err = netip.ParseAddr(c.InterfaceAddr); err != nil {
			invalid("POT_EXTIF_ADDR", "an address", c.InterfaceAddr)
		}
	}
	for _, name := range strings.Fields(c.Extra) {
		u := Uplink{Interface: name}
		if text := c.networks[name]; text != "" {
			var err error
			if u.Network, err = netip.ParsePrefix(text); err != nil {
				invalid("POT_NETWORK_"+name, "a network in CIDR notation", text)
			}
		}
		h.Extra = append(h.Extra, u)
	}
	if c.Tmp != "" && !filepath.IsAbs(c.Tmp) {
		invalid("POT_TMP", "an absolute path", c.Tmp)
	}
	if c.PFRulesHook != "" && !filepath.IsAbs(c.PFRulesHook) {
		invalid("POT_EXPORT_PORTS_PF_RULES_HOOK", "an absolute path", c.PFRulesHook)
	}
}

// Overrides are what a person sets in place of pot.conf: "" is what pot.conf says,
// or else the default of the host.
type Overrides struct {
	Host       string // the name of the host, whose PathsFor are the defaults
	Dir        string // HostConfig.Dir
	Supervisor string // has no default
	ZFSRoot    string
	Cache      string // directory of image files
	Network    string // in CIDR notation
	Gateway    string // in Network
}

// Configure returns what a host and its pots are opened with, by pot's configuration
// in files, of which later ones win, and by o. Its error has every problem, each with
// its key in pot.conf, or as a FieldError of o: zfs_root, cache.dir, network, gateway.
func Configure(files []string, o Overrides) (HostConfig, Config, error) {
	var errs fieldErrors
	conf, err := ReadSystemConf(files...)
	if err != nil {
		errs = append(errs, err)
	}
	paths := PathsFor(o.Host)
	h := HostConfig{Dir: cmp.Or(o.Dir, paths.Dir), Supervisor: o.Supervisor}
	h.apply(&conf, &errs)
	if h.ZFSRoot = cmp.Or(o.ZFSRoot, conf.ZFSRoot, DefaultZFSRoot); !zfsRoots.MatchString(h.ZFSRoot) || len(h.ZFSRoot) > maxZFSRoot {
		errs.add(keyOf(o.ZFSRoot, "zfs_root", "POT_ZFS_ROOT"), "must be the name of a dataset, as in zroot/pot, not %.200q", h.ZFSRoot)
	}
	cache := cmp.Or(o.Cache, conf.Cache, paths.Cache, filepath.Join(h.Dir, "cache"))
	if set := cmp.Or(o.Cache, conf.Cache); set != "" && !filepath.IsAbs(set) {
		errs.add(keyOf(o.Cache, "cache.dir", "POT_CACHE"), "must be an absolute path, not %q", cache)
	}
	gateway := o.Gateway
	if o.Network == "" { // pot.conf's is in its own network
		gateway = cmp.Or(gateway, conf.Gateway)
	}
	h.Network, err = ParseNetwork(cmp.Or(o.Network, conf.Network, DefaultNetwork.Prefix.String()), gateway)
	if field := (*FieldError)(nil); errors.As(err, &field) {
		key := keyOf(o.Network, "network", "POT_NETWORK")
		if field.Field == "gateway" {
			key = keyOf(o.Gateway, "gateway", "POT_GATEWAY")
		}
		errs.add(key, "%w", field.Err)
	}
	conf.ZFSRoot, conf.Cache, conf.FSRoot = h.ZFSRoot, filepath.Clean(cache), cmp.Or(conf.FSRoot, paths.PotRoot, h.Dir)
	c := Config{
		Dir: h.Dir, Network: h.Network, Supervisor: h.Supervisor,
		Bridges: filepath.Join(conf.FSRoot, "bridges"), System: conf,
	}
	if dns, err := netip.ParseAddr(conf.DNS); err == nil {
		c.Reserved = []netip.Addr{dns}
	}
	return h, c, errors.Join(errs...)
}

// zfsRoots are names of zfs(8), but for those that begin like a flag.
var zfsRoots = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:-]*(/[A-Za-z0-9_][A-Za-z0-9_.:-]*)*$`)

// maxZFSRoot leaves room for names of pots and snapshots (ZFS_MAX_DATASET_NAME_LEN: 256).
const maxZFSRoot = 100

// keyOf is where a value is from: an override that is set, or pot.conf.
func keyOf(override, key, confKey string) string {
	if override != "" {
		return key
	}
	return confKey
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
