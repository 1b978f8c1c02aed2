package driver

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/resolvconf"
)

// configSpec is the schema of plugin "nomad-driver-pot" { config { … } }. Nomad refuses
// other keys.
var configSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"enabled": hclspec.NewDefault(
		hclspec.NewAttr("enabled", "bool", false),
		hclspec.NewLiteral("true"),
	),
	"host":       hclspec.NewAttr("host", "string", false),
	"pot_config": hclspec.NewAttr("pot_config", "string", false),
	"zfs_root":   hclspec.NewAttr("zfs_root", "string", false),
	"fs_root":    hclspec.NewAttr("fs_root", "string", false),
	"network":    hclspec.NewAttr("network", "string", false),
	"gateway":    hclspec.NewAttr("gateway", "string", false),
	"supervisor": hclspec.NewAttr("supervisor", "string", false),
	"cache": hclspec.NewBlock("cache", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"dir":      hclspec.NewAttr("dir", "string", false),
		"max_size": hclspec.NewAttr("max_size", "string", false),
	})),
	"pull": hclspec.NewBlock("pull", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"max_parallel":   hclspec.NewAttr("max_parallel", "number", false),
		"timeout":        hclspec.NewAttr("timeout", "string", false),
		"stall_timeout":  hclspec.NewAttr("stall_timeout", "string", false),
		"max_image_size": hclspec.NewAttr("max_image_size", "string", false),
		"decoder_memory": hclspec.NewAttr("decoder_memory", "string", false),
		"ca_file":        hclspec.NewAttr("ca_file", "string", false),
		"max_tree_size":  hclspec.NewAttr("max_tree_size", "string", false),
	})),
	"verify": hclspec.NewBlock("verify", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"require_signature": hclspec.NewAttr("require_signature", "bool", false),
		"signify_pubkey":    hclspec.NewAttr("signify_pubkey", "string", false),
	})),
	"auth": hclspec.NewBlock("auth", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"file":          hclspec.NewAttr("file", "string", false),
		"docker_config": hclspec.NewAttr("docker_config", "string", false),
	})),
	"allowed_images": hclspec.NewAttr("allowed_images", "list(string)", false),
	"volumes": hclspec.NewBlock("volumes", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"enabled":       hclspec.NewAttr("enabled", "bool", false),
		"allowed_paths": hclspec.NewAttr("allowed_paths", "list(string)", false),
	})),
	"gc": hclspec.NewBlock("gc", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"image":          hclspec.NewAttr("image", "bool", false),
		"image_delay":    hclspec.NewAttr("image_delay", "string", false),
		"pot":            hclspec.NewAttr("pot", "bool", false),
		"interval":       hclspec.NewAttr("interval", "string", false),
		"creation_grace": hclspec.NewAttr("creation_grace", "string", false),
		"dry_run":        hclspec.NewAttr("dry_run", "bool", false),
	})),
	"allowed_network_modes": hclspec.NewAttr("allowed_network_modes", "list(string)", false),
	"allow_attributes":      hclspec.NewAttr("allow_attributes", "list(string)", false),
	"allow_hooks":           hclspec.NewAttr("allow_hooks", "list(string)", false),
	"allow_local_images":    hclspec.NewAttr("allow_local_images", "bool", false),
	"extra_labels":          hclspec.NewAttr("extra_labels", "list(string)", false),
	"dns":                   hclspec.NewAttr("dns", "list(string)", false),
})

// Config is the plugin's configuration as the operator writes it. settings has the
// defaults.
type Config struct {
	Enabled    bool          `codec:"enabled"`
	Host       string        `codec:"host"`       // auto, freebsd or linux
	PotConfig  string        `codec:"pot_config"` // the host's pot.conf, which says what is not set here
	ZFSRoot    string        `codec:"zfs_root"`   // FreeBSD: the dataset that all others are below
	FSRoot     string        `codec:"fs_root"`    // directory of records, and of the Linux host's datasets
	Network    string        `codec:"network"`    // the public network, in CIDR notation
	Gateway    string        `codec:"gateway"`    // the host's address in it
	Supervisor string        `codec:"supervisor"` // path of pot-supervisor
	Cache      CacheConfig   `codec:"cache"`
	Pull       PullConfig    `codec:"pull"`
	Volumes    VolumesConfig `codec:"volumes"`
	GC         GCConfig      `codec:"gc"`

	Verify        VerifyConfig   `codec:"verify"`
	Auth          AuthFileConfig `codec:"auth"`
	AllowedImages []string       `codec:"allowed_images"` // URLs that images must be below; none: all

	AllowedNetworkModes []string `codec:"allowed_network_modes"`
	AllowAttributes     []string `codec:"allow_attributes"`   // of jobs and images, where they change something
	AllowHooks          []string `codec:"allow_hooks"`        // of images: programs that are run on this host, as root
	AllowLocalImages    bool     `codec:"allow_local_images"` // pots that another tool imported or made start as images
	ExtraLabels         []string `codec:"extra_labels"`       // patterns (path.Match) of names of jobLabels
	DNS                 []string `codec:"dns"`                // addresses of servers, for pots that can reach none of the host's
}

// GCConfig is about unused images, and what is left of tasks that Nomad does not know.
type GCConfig struct {
	Image         *bool  `codec:"image"`          // destroy unused images; nil: yes
	ImageDelay    string `codec:"image_delay"`    // how long an image is unused before that
	Pot           *bool  `codec:"pot"`            // destroy dangling pots; nil: yes
	Interval      string `codec:"interval"`       // between two searches
	CreationGrace string `codec:"creation_grace"` // how long a dangling pot stays, from when it is first seen
	DryRun        bool   `codec:"dry_run"`        // report and destroy nothing
}

// CacheConfig is where image files are kept.
type CacheConfig struct {
	Dir     string `codec:"dir"`
	MaxSize string `codec:"max_size"` // of all of them, as in "20GiB"
}

// PullConfig limits the fetching of images.
type PullConfig struct {
	MaxParallel  int    `codec:"max_parallel"`   // fetches at once
	Timeout      string `codec:"timeout"`        // of a whole fetch
	StallTimeout string `codec:"stall_timeout"`  // in which no byte arrives
	MaxImageSize string `codec:"max_image_size"` // compressed, as in "2GiB"
	MaxTreeSize  string `codec:"max_tree_size"`  // likewise, decompressed

	DecoderMemory string `codec:"decoder_memory"` // xz.Options.Memory
	CAFile        string `codec:"ca_file"`        // of certificate authorities beside the system's
}

// VolumesConfig says which paths of the host a job may mount. It does not apply to
// Nomad's volumes.
type VolumesConfig struct {
	Enabled      bool     `codec:"enabled"`
	AllowedPaths []string `codec:"allowed_paths"` // none: any path
}

// Defaults. The default network is pot.DefaultNetwork.
const (
	defaultPullTimeout  = 30 * time.Minute
	defaultStallTimeout = time.Minute
	defaultImageBytes   = 16 << 30
	defaultParallel     = 4
	defaultInterval     = 5 * time.Minute
	defaultGrace        = 5 * time.Minute
	defaultImageDelay   = time.Hour
)

// networkModes are all modes. defaultModes are the modes that a job may have by default:
// with alias it could use any address.
var (
	networkModes = []pot.NetworkMode{pot.PublicBridge, pot.PrivateBridge, pot.HostNetwork, pot.Alias, pot.NoNetwork, taskNetwork, groupNetwork}
	defaultModes = []pot.NetworkMode{pot.PublicBridge, pot.PrivateBridge, pot.HostNetwork, pot.NoNetwork, taskNetwork, groupNetwork}
)

// settings is a valid Config, with its defaults.
type settings struct {
	enabled   bool
	host      potconf.HostConfig
	potConfig potconf.Config
	pull      fetch.Options
	sources   sources
	volumes   VolumesConfig
	modes     []pot.NetworkMode // that are allowed

	gc              gc
	allowAttributes []string
	allowHooks      []conf.Hook
	extraLabels     []string     // names of jobLabels
	dns             []netip.Addr // pot.DNS.Fallback
}

// gc is a GCConfig with its defaults.
type gc struct {
	images, pots, dryRun        bool
	interval, grace, imageDelay time.Duration
}

// gc parses the block and fills in the defaults. A key that is nil is true: the schema
// could give its default only if the block were there.
func (c *GCConfig) gc(f *problems) gc {
	return gc{
		images:     c.Image == nil || *c.Image,
		imageDelay: duration(f, "gc.image_delay", c.ImageDelay, defaultImageDelay),
		pots:       c.Pot == nil || *c.Pot,
		dryRun:     c.DryRun,
		interval:   duration(f, "gc.interval", c.Interval, defaultInterval),
		grace:      duration(f, "gc.creation_grace", c.CreationGrace, defaultGrace),
	}
}

// decodeConfig reads what Nomad sends, which is nothing when a plugin has no
// config block.
func decodeConfig(packed []byte) (*Config, error) {
	c := &Config{Enabled: true}
	if len(packed) == 0 {
		return c, nil
	}
	if err := base.MsgPackDecode(packed, c); err != nil {
		return nil, fmt.Errorf("internal error: decode plugin configuration: %w", err)
	}
	return c, nil
}

// settings fills in the defaults. Its error has every problem of c. native is the
// name of this machine's host.
func (c *Config) settings(native string) (settings, error) {
	var f problems
	s := settings{enabled: c.Enabled, volumes: c.Volumes}
	paths := potconf.PathsFor(native)
	overrides := potconf.Overrides{
		Host:       native,
		Dir:        absolute(&f, "fs_root", c.FSRoot, paths.Dir),
		Supervisor: absolute(&f, "supervisor", c.Supervisor, besidePlugin("pot-supervisor")),
		ZFSRoot:    c.ZFSRoot, Cache: c.Cache.Dir, Network: c.Network, Gateway: c.Gateway,
	}
	var err error
	s.host, s.potConfig, err = potconf.Configure(c.potConfs(&f, paths), overrides)
	f.addFields(err, nil, nil)
	switch c.Host {
	case "", "auto":
	case "freebsd", "linux":
		if c.Host != native {
			f.add("host", "this machine is not one for %s pots", c.Host)
		}
	default:
		f.add("host", "must be auto, freebsd or linux, not %q", c.Host)
	}
	s.pull = c.Pull.options(&f)
	s.pull.CacheBytes = size(&f, "cache.max_size", c.Cache.MaxSize)
	s.sources = c.sources(&f)
	s.gc = c.GC.gc(&f)

	s.modes = defaultModes
	if c.AllowedNetworkModes != nil {
		s.modes = nil
	}
	for i, mode := range c.AllowedNetworkModes {
		if !slices.Contains(networkModes, pot.NetworkMode(mode)) {
			f.add(fmt.Sprintf("allowed_network_modes[%d]", i), "must be %s, not %q", list(networkModes, "or"), mode)
		}
		s.modes = append(s.modes, pot.NetworkMode(mode))
	}
	s.allowAttributes = c.AllowAttributes
	for i, name := range c.AllowAttributes {
		if all := conf.TaskAttributes(); !slices.Contains(all, name) {
			f.add(fmt.Sprintf("allow_attributes[%d]", i), "must be %s, not %q", list(all, "or"), name)
		}
	}
	for i, name := range c.AllowHooks {
		h := conf.Hook(name)
		if !slices.Contains(conf.Hooks, h) {
			f.add(fmt.Sprintf("allow_hooks[%d]", i), "must be %s, not %q", list(conf.Hooks, "or"), name)
		}
		s.allowHooks = append(s.allowHooks, h)
	}
	s.extraLabels = extraLabels(&f, c.ExtraLabels)
	s.dns = c.dns(&f)
	for i, path := range c.Volumes.AllowedPaths {
		absolute(&f, fmt.Sprintf("volumes.allowed_paths[%d]", i), path, "")
	}
	return s, f.err()
}

// dns returns the addresses of servers that pots can reach.
func (c *Config) dns(f *problems) (servers []netip.Addr) {
	for i, text := range c.DNS {
		addr, err := netip.ParseAddr(text)
		if err != nil || !resolvconf.Reachable(addr) {
			f.add(fmt.Sprintf("dns[%d]", i), "must be the address of a server that pots reach, not %q", text)
			continue
		}
		servers = append(servers, addr)
	}
	return servers
}

// potConfs returns the files of pot's configuration. A file that pot_config names must
// exist.
func (c *Config) potConfs(f *problems, paths potconf.HostPaths) []string {
	file := paths.PotConfig
	if c.PotConfig != "" {
		file = absolute(f, "pot_config", c.PotConfig, "")
		if _, err := os.Stat(file); err != nil {
			f.add("pot_config", "%w", err)
		}
	}
	return potconf.Files(file)
}

// options parses the block and fills in the defaults. Every bound on a download has a
// default.
func (p *PullConfig) options(f *problems) fetch.Options {
	o := fetch.Options{
		MaxParallel:  cmp.Or(p.MaxParallel, defaultParallel),
		Timeout:      duration(f, "pull.timeout", p.Timeout, defaultPullTimeout),
		StallTimeout: duration(f, "pull.stall_timeout", p.StallTimeout, defaultStallTimeout),
		MaxBytes:     defaultImageBytes,
		MaxTreeBytes: fetch.DefaultMaxTreeBytes,
	}
	if o.MaxParallel < 1 {
		f.add("pull.max_parallel", "must be at least 1, not %d", p.MaxParallel)
	}
	if p.MaxImageSize != "" {
		o.MaxBytes = size(f, "pull.max_image_size", p.MaxImageSize)
	}
	if p.MaxTreeSize != "" {
		o.MaxTreeBytes = size(f, "pull.max_tree_size", p.MaxTreeSize)
	}
	o.Decode.Memory = size(f, "pull.decoder_memory", p.DecoderMemory)
	if p.CAFile != "" {
		var err error
		if o.Roots, err = fetch.ReadRoots(absolute(f, "pull.ca_file", p.CAFile, "")); err != nil {
			f.add("pull.ca_file", "%w", err)
		}
	}
	return o
}

// absolute returns path, or its default if it is not set.
func absolute(f *problems, where, path, otherwise string) string {
	if path == "" && otherwise != "" {
		return otherwise
	}
	if !filepath.IsAbs(path) {
		f.add(where, "must be an absolute path, not %q", path)
	}
	return filepath.Clean(path)
}

// size returns the bytes of text, as in "2GiB"; 0 if it is not set.
func size(f *problems, where, text string) int64 {
	if text == "" {
		return 0
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || int64(n) < 0 {
		f.add(where, "must be a size, as in 2GiB, not %q", text)
	}
	return int64(n)
}

// duration parses text, as in "90s", or returns its default if it is not set.
func duration(f *problems, where, text string, otherwise time.Duration) time.Duration {
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		f.add(where, "must be a time, as in 90s or 5m, not %q", text)
	}
	return d
}

// besidePlugin returns the path of a program in the directory of this one.
func besidePlugin(program string) string {
	self, err := os.Executable()
	if err != nil {
		return filepath.Join(string(filepath.Separator), program)
	}
	return filepath.Join(filepath.Dir(self), program)
}

// list joins names for people: "a, b or c".
func list[T ~string](names []T, last string) string {
	var all []string
	for _, n := range names {
		all = append(all, string(n))
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	end := len(all) - 1
	return strings.Join(all[:end], ", ") + " " + last + " " + all[end]
}
