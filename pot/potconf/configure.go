package potconf

import (
	"cmp"
	"errors"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"

	"nomad-driver-pot/pot"
)

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
	var errs pot.FieldErrors
	conf, err := ReadSystemConf(files...)
	if err != nil {
		errs = append(errs, err)
	}
	paths := PathsFor(o.Host)
	h := HostConfig{Dir: cmp.Or(o.Dir, paths.Dir), Supervisor: o.Supervisor}
	h.apply(&conf, &errs)
	if h.ZFSRoot = cmp.Or(o.ZFSRoot, conf.ZFSRoot, DefaultZFSRoot); !zfsRoots.MatchString(h.ZFSRoot) || len(h.ZFSRoot) > maxZFSRoot {
		errs.Add(keyOf(o.ZFSRoot, "zfs_root", "POT_ZFS_ROOT"), "must be the name of a dataset, as in zroot/pot, not %.200q", h.ZFSRoot)
	}
	cache := cmp.Or(o.Cache, conf.Cache, paths.Cache, filepath.Join(h.Dir, "cache"))
	if set := cmp.Or(o.Cache, conf.Cache); set != "" && !filepath.IsAbs(set) {
		errs.Add(keyOf(o.Cache, "cache.dir", "POT_CACHE"), "must be an absolute path, not %q", cache)
	}
	gateway := o.Gateway
	if o.Network == "" { // pot.conf's is in its own network
		gateway = cmp.Or(gateway, conf.Gateway)
	}
	h.Network, err = pot.ParseNetwork(cmp.Or(o.Network, conf.Network, pot.DefaultNetwork.Prefix.String()), gateway)
	if field := (*pot.FieldError)(nil); errors.As(err, &field) {
		key := keyOf(o.Network, "network", "POT_NETWORK")
		if field.Field == "gateway" {
			key = keyOf(o.Gateway, "gateway", "POT_GATEWAY")
		}
		errs.Add(key, "%w", field.Err)
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

// apply sets what pot.conf says of uplinks, and adds the problems of that.
func (h *HostConfig) apply(c *SystemConf, errs *pot.FieldErrors) {
	h.Interface, h.Isolate, h.PFRulesHook, h.StatusDir = c.Interface, c.Isolate, c.PFRulesHook, c.Tmp
	invalid := func(key, rule, value string) { errs.Add(key, "must be %s, not %.80q", rule, value) }
	for _, name := range append(strings.Fields(c.Extra), c.Interface) {
		if name != "" && !pot.ValidInterface(name) {
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
