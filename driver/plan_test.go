package driver

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/helper/pluginutils/hclspecutils"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

func TestBackend_plan(t *testing.T) {
	leak.Check(t, leak.Foreign)
	cfg := taskOf(t, least+`
		command      = "/bin/hello"
		args         = ["-g", "'daemon off;'"]
		extra_hosts  = ["db:10.0.0.5", "six:[2001:db8::1]"]
		hostname     = "web"
		work_dir     = "/srv"
	`)
	cfg.User = "web"
	cfg.DNS = &drivers.DNSConfig{Servers: []string{"9.9.9.9"}, Searches: []string{"example.org"}}
	cfg.Resources.NomadResources.Memory = structs.AllocatedMemoryResources{MemoryMB: 64, MemoryMaxMB: 128}
	cfg.Resources.NomadResources.Cpu = structs.AllocatedCpuResources{CpuShares: 500}
	cfg.Resources.LinuxResources.CpusetCpus = "0,2"
	cfg.Resources.Ports = ports(structs.AllocatedPortMapping{Label: "http", Value: 25000, To: 8080, HostIP: "192.0.2.1"})

	p, err := backendOf(t, "").plan(cfg)
	must.NoError(t, err)
	must.Eq(t, image.Ref{Source: "https://images.example.org/pots", Name: "hello", Tag: "1.0"}, p.ref)
	must.Eq(t, []string{"/bin/hello", "-g", "daemon off;"}, p.line.argv())
	must.Eq(t, time.Hour, p.pullTimeout)
	must.Eq(t, portMap{"http": 8080}, p.portMap)
	host := netip.MustParseAddrPort("192.0.2.1:25000")
	must.Eq(t, pot.Spec{
		Name:     "web_0badcafe_" + testAlloc,
		Image:    "hello_1_0",
		Labels:   map[string]string{labelAlloc: testAlloc, labelTask: testID},
		Hostname: "web",
		Network:  pot.PublicBridge,
		Ports:    []pot.Port{{Proto: conf.TCP, Host: host, To: 8080}, {Proto: conf.UDP, Host: host, To: 8080}},
		Mounts: []pot.Mount{
			{Source: "/nomad/alloc/alloc", Target: "/alloc", Resolved: true},
			{Source: "/nomad/alloc/alloc/logs", Target: "/alloc/logs", ReadOnly: true, Resolved: true},
			{Source: "/nomad/alloc/web/local", Target: "/local", Resolved: true},
			{Source: "/nomad/alloc/web/secrets", Target: "/secrets", Resolved: true},
		},
		Hosts: []pot.HostEntry{
			{Name: "db", Addr: netip.MustParseAddr("10.0.0.5")},
			{Name: "six", Addr: netip.MustParseAddr("2001:db8::1")},
		},
		DNS:     pot.DNS{Servers: []string{"9.9.9.9"}, Searches: []string{"example.org"}},
		Limits:  pot.Limits{MemoryBytes: 128 << 20, CPUShares: 500, CPUs: "0,2"},
		User:    "web",
		WorkDir: "/srv",
		Stdout:  "/nomad/out",
		Stderr:  "/nomad/err",
	}, p.spec)
}

// planFaults are tasks and the errors of their plans; "" is none. THERE is a
// directory that exists.
var planFaults = []struct {
	name   string
	plugin string
	config string
	change func(*drivers.TaskConfig)
	want   string
}{
	{name: "the smallest config is valid", config: least},
	{name: "an image must be a URL", config: `image = "here"
			pot = "a/b"
			tag = ".."`,
		want: `config.image: must begin with https://, http://, file:// or docker://: write "https://here"; ` +
			`config.pot: must be letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_', not "a/b"; ` +
			`config.tag: must be letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_', not ".."`},
	{name: "an image is not one of its files", config: `image = "https://images.example.org/pots/hello_1.0.xz"
			pot = "hello"
			tag = "1.0"`,
		want: `config.image: must be the directory of the image's files, not hello_1.0.xz itself: write "https://images.example.org/pots"; hello_1.0.xz is made of pot and tag`},
	{name: "a digest has an algorithm", config: least + `digest = "md5:00"`,
		want: `config.digest: must be the image's skein1024, not its md5: write "skein1024:" and the digits in hello_1.0.xz.skein`},
	{name: "a digest of zeros is refused", config: least + `digest = "skein1024:` + strings.Repeat("0", 256) + `"`,
		want: `config.digest: must not be all zeros`},
	{name: "a pull timeout is at most the plugin's", plugin: `pull { timeout = "1m" }`, config: least + `image_pull_timeout = "2m"`,
		want: `config.image_pull_timeout: must be at most this client's pull.timeout, 1m0s, not 2m0s`},
	{name: "a time has a unit", config: least + `image_pull_timeout = "2"`,
		want: `config.image_pull_timeout: must be a time, as in 90s or 5m, not "2"`},
	{name: "arguments need a command", config: least + `args = ["x"]`,
		want: `config.args: needs command to be set`},
	{name: "a network mode must be known", config: least + `network_mode = "bridge"`,
		want: `config.network_mode: no such mode: "bridge": use public-bridge, private-bridge, host, none, task:NAME or group`},
	{name: "an alias needs the operator's leave", config: least + `network_mode = "alias"
			ip = ["192.0.2.7"]`,
		want: `config.network_mode: alias is not allowed on this client: use public-bridge, private-bridge, host, none, task:NAME or group`},
	{name: "an alias needs an address", plugin: `allowed_network_modes = ["alias"]`, config: least + `network_mode = "alias"`,
		want: `config.ip: network alias needs an address`},
	{name: "an alias's address is valid", plugin: `allowed_network_modes = ["alias"]`, config: least + `network_mode = "alias"
			ip = ["em0|192.0.2.7", "em0"]`,
		want: `config.ip[1]: must be an address, or as in em0|192.0.2.7, not "em0"`},
	{name: "an address is named by its own key, after one that is none", plugin: `allowed_network_modes = ["alias"]`, config: least + `network_mode = "alias"
			ip = ["em0", "192.0.2.7", "em1|192.0.2.7"]`,
		want: `config.ip[0]: must be an address, or as in em0|192.0.2.7, not "em0"; config.ip[2]: 192.0.2.7 is listed twice`},
	{name: "an alias publishes nothing", plugin: `allowed_network_modes = ["alias"]`, config: least + `network_mode = "alias"
			ip = ["192.0.2.7"]
			ports = ["http"]`,
		want: `config.network_mode: alias cannot publish ports: the pot has an address of its own; set address_mode = "driver" in services`},
	{name: "an alias leaves the group's ports alone", plugin: `allowed_network_modes = ["alias"]`, config: least + `network_mode = "alias"
			ip = ["192.0.2.7"]`},
	{name: "a private bridge has a name", config: least + `network_mode = "private-bridge"`,
		want: `config.bridge: must be set`},
	{name: "a private bridge is accepted", config: least + "network_mode = \"private-bridge\"\nbridge = \"db\""},
	{name: "a stack must be known", config: least + `network_stack = "ipv5"`,
		want: `config.network_stack: must be ipv4, ipv6 or dual, not "ipv5"`},
	{name: "a private bridge has no IPv6", config: least + "network_mode = \"private-bridge\"\nbridge = \"db\"\nnetwork_stack = \"dual\"",
		want: `config.network_stack: private-bridge has IPv4 only, not dual`},
	{name: "attributes need the operator's leave", config: least + `attributes = ["mlock:YES", "children:0", "persistent:NO"]`,
		want: `config.attributes: mlock is not allowed on this client: its plugin's allow_attributes must have it`},
	{name: "allowed attributes are accepted", plugin: `allow_attributes = ["mlock"]`, config: least + `attributes = ["mlock:YES"]`},
	{name: "all errors in attributes are returned", config: least + `attributes = ["mlock", "frob:1", "children:x", "stop_timeout:60", "mlock:NO", "mlock:NO"]`,
		want: `config.attributes[0]: must be NAME:VALUE, not "mlock"; config.attributes[1]: no such attribute: "frob"; ` +
			`config.attributes[2]: children: must be a number, at most 999998, not "x"; ` +
			`config.attributes[3]: stop_timeout: is 10 for every task, and cannot be 60; ` +
			`config.attributes[5]: mlock is set twice`},
	{name: "all errors in limits are returned", config: least + `limits {
			maxproc   = -1
			readbps   = "fast"
			wallclock = "2"
			disk      = "0"
		}`,
		want: `config.limits.maxproc: must be at least 1, not -1; config.limits.readbps: must be a size, as in 2GiB, not "fast"; ` +
			`config.limits.disk: must be a size, as in 2GiB, not "0"; config.limits.wallclock: must be a time, as in 90s or 5m, not "2"`},
	{name: "a mode must be allowed", plugin: `allowed_network_modes = ["none"]`, config: least + `network_mode = "host"`,
		want: `config.network_mode: host is not allowed on this client: use none`},
	{name: "pot's name of host mode is accepted", config: least + `network_mode = "inherit"`},
	{name: "a port must be the group's", config: least + `ports = ["http", "admin"]`,
		want: `config.ports[1]: no such port in the group: "admin"; its ports are http and metrics`},
	{name: "a port is asked for once", config: least + `ports = ["http", "http"]`,
		want: `config.ports[1]: "http" is listed twice`},
	{name: "a port is mapped once", config: least + "port_map { http = 80 }\nport_map { http = 81 }",
		want: `config.port_map.http: is set twice`},
	{name: "a mapped port is a number", config: least + `port_map { http = "www" }`,
		want: `config.port_map.http: must be a port, 1 to 65535, not "www"`},
	{name: "ports and port_map exclude each other", config: least + "ports = [\"http\"]\nport_map { http = 80 }",
		want: `config.port_map: mutually exclusive with config.ports; set to of a port in the group's network block instead`},
	{name: "no network has no ports", config: least + "network_mode = \"none\"\nports = [\"http\"]",
		want: `config.network_mode: none cannot publish ports`},
	{name: "no network leaves the group's ports alone", config: least + `network_mode = "none"`},
	{name: "on the host's network ports are not published", config: least + "network_mode = \"host\"\nports = [\"http\"]"},
	{name: "a host name is a name", config: least + `hostname = "a b"`,
		want: `config.hostname: must be letters, digits, - and ., at most 63 in all, not "a b"`},
	{name: "a directory is absolute", config: least + `work_dir = "srv"`,
		want: `config.work_dir: must be an absolute path, not "srv"`},
	{name: "a copy needs an allowed source and a target", config: least + `copy = ["THERE:/data", "/a"]`,
		want: `config.copy[0]: source: host paths are disabled on this client: THERE; set volumes { enabled = true } in its plugin configuration; ` +
			`config.copy[1]: must be SOURCE:TARGET, not "/a"`},
	{name: "a copy's target is an absolute path", plugin: `volumes { enabled = true }`, config: least + `copy = ["THERE:data"]`,
		want: `config.copy[0]: target must be an absolute path below /, not "data"`},
	{name: "a copy is accepted", plugin: `volumes { enabled = true }`, config: least + `copy = ["THERE:/data"]`},
	{name: "a copy's target is not in a file system of the host's", plugin: `volumes { enabled = true }`, config: least + `copy = ["THERE:/dev/x"]`,
		want: `config.copy[0]: target must be an absolute path in the pot's own tree, not "/dev/x"`},
	{name: "a host has an address", config: least + `extra_hosts = ["db", "db:x", ":10.0.0.1"]`,
		want: `config.extra_hosts[0]: must be NAME:ADDRESS, not "db"; ` +
			`config.extra_hosts[1]: must be NAME:ADDRESS, not "db:x"; ` +
			`config.extra_hosts[2]: must be NAME:ADDRESS, not ":10.0.0.1"`},
	{name: "host paths are disabled by default", config: least + `mount = ["THERE:/data"]`,
		want: `config.mount[0]: source: host paths are disabled on this client: THERE; set volumes { enabled = true } in its plugin configuration`},
	{name: "a mount has two parts", plugin: `volumes { enabled = true }`, config: least + `mount = ["/data"]
			mount_read_only = ["/a:/b:ro"]`,
		want: `config.mount[0]: must be SOURCE:TARGET, not "/data"; ` +
			`config.mount_read_only[0]: must be SOURCE:TARGET, not "/a:/b:ro"`},
	{name: "a mount's target is absolute", plugin: `volumes { enabled = true }`, config: least + `mount = ["THERE:data"]`,
		want: `config.mount[0]: target must be an absolute path below /, not "data"`},
	{name: "a target is taken once", plugin: `volumes { enabled = true }`, config: least + `mount = ["THERE:/local/"]`,
		want: `config.mount[0]: target /local/ is already used by another mount`},
	{name: "a mount's source must exist", plugin: `volumes { enabled = true }`, config: least + `mount = ["/no/such:/data"]`,
		want: `config.mount[0]: source: no such path: /no/such`},
	{name: "a tree of the host's is not a target", plugin: `volumes { enabled = true }`, config: least + `mount = ["THERE:/dev/x"]`,
		want: `config.mount[0]: target "/dev/x" is reserved for the host`},
	{name: "a volume's target is told as the job has it", config: least, change: func(c *drivers.TaskConfig) {
		c.Mounts = []*drivers.MountConfig{{HostPath: "/vol", TaskPath: "/data"}, {HostPath: "/vol", TaskPath: "/proc/x"}}
	}, want: `volume_mount[1]: target "/proc/x" is reserved for the host`},
	{name: "ports need IPv4", config: least + `network_stack = "ipv6"`,
		want: `config.ports: cannot be published from a pot without IPv4`},
	{name: "devices are refused", config: least, change: func(c *drivers.TaskConfig) {
		c.Devices = []*drivers.DeviceConfig{{HostPath: "/dev/kmem"}}
	}, want: `device[0]: not supported yet: /dev/kmem`},
	{name: "propagation is refused", config: least, change: func(c *drivers.TaskConfig) {
		c.Mounts = []*drivers.MountConfig{{HostPath: "/vol", TaskPath: "/data", PropagationMode: "bidirectional"}}
	}, want: `volume_mount[0].propagation_mode: must be private, not "bidirectional"`},
	{name: "a resolver is an address", config: least, change: func(c *drivers.TaskConfig) {
		c.DNS = &drivers.DNSConfig{Servers: []string{"one.example.org"}}
	}, want: `network.dns.servers[0]: must be an address, not "one.example.org"`},
	{name: "a hard limit needs to know the machine", config: least + `cpu_hard_limit = true`,
		want: `config.cpu_hard_limit: this client does not know the speed of its cores; set cpu_total_compute in its configuration`},
	{name: "errors of parts do not hide errors of the whole", plugin: `volumes { enabled = true }`, config: least + `args = ["x"]
			hostname = "a b"
			network_mode = "private-bridge"
			network_stack = "ipv6"
			mount = ["data", "THERE:/proc/x"]
			copy = ["THERE:/dev"]
			extra_hosts = ["db"]`,
		want: `config.args: needs command to be set; config.hostname: must be letters, digits, - and ., at most 63 in all, not "a b"; ` +
			`config.mount[0]: must be SOURCE:TARGET, not "data"; config.extra_hosts[0]: must be NAME:ADDRESS, not "db"; ` +
			`config.network_stack: private-bridge has IPv4 only, not ipv6; config.bridge: must be set; ` +
			`config.ports: cannot be published from a pot without IPv4; ` +
			`config.mount[1]: target "/proc/x" is reserved for the host; ` +
			`config.copy[0]: target must be an absolute path in the pot's own tree, not "/dev"`},
	{name: "all errors are returned at once", config: strings.Replace(least, `"1.0"`, `""`, 1) + `args = ["x"]
			network_mode = "x"`,
		want: `config.tag: must be set to the version of the image, as in 1.0, for the file hello_1.0.xz; config.args: needs command to be set; ` +
			`config.network_mode: no such mode: "x": use public-bridge, private-bridge, host, none, task:NAME or group`},
}

func TestBackend_plan_faults(t *testing.T) {
	leak.Check(t, leak.Foreign)
	there := strings.NewReplacer("THERE", t.TempDir())
	for _, tc := range planFaults {
		t.Run(tc.name, func(t *testing.T) {
			cfg := taskOf(t, there.Replace(tc.config))
			cfg.Resources.Ports = ports(
				structs.AllocatedPortMapping{Label: "metrics", Value: 25001},
				structs.AllocatedPortMapping{Label: "http", Value: 25000, To: 8080})
			if tc.change != nil {
				tc.change(cfg)
			}
			_, err := backendOf(t, tc.plugin).plan(cfg)
			if tc.want == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, there.Replace(tc.want))
		})
	}
}

func TestTaskConfig_publish(t *testing.T) {
	leak.Check(t, leak.Foreign)
	group := ports(
		structs.AllocatedPortMapping{Label: "dyn", Value: 25001, HostIP: "2001:db8::5"},
		structs.AllocatedPortMapping{Label: "http", Value: 25000, To: 8080})
	old := []*structs.NetworkResource{{IP: "192.0.2.7", DynamicPorts: []structs.Port{{Label: "http", Value: 25002}}}}
	for _, tc := range []struct {
		name   string
		config string
		inPot  portMap
		ports  []string
		groups *structs.AllocatedPorts
		old    []*structs.NetworkResource
	}{
		{name: "by default all ports of the group are published", groups: group,
			inPot: portMap{"dyn": 25001, "http": 8080},
			ports: []string{"tcp [2001:db8::5]:25001 25001", "udp [2001:db8::5]:25001 25001", "tcp 0.0.0.0:25000 8080", "udp 0.0.0.0:25000 8080"}},
		{name: "only ports in ports are published", groups: group, config: `ports = ["http"]`,
			inPot: portMap{"http": 8080}, ports: []string{"tcp 0.0.0.0:25000 8080", "udp 0.0.0.0:25000 8080"}},
		{name: "an empty ports publishes none", groups: group, config: `ports = []`, inPot: portMap{}},
		{name: "port_map can be a block", groups: group, config: `port_map { http = 80 }`,
			inPot: portMap{"http": 80}, ports: []string{"tcp 0.0.0.0:25000 80", "udp 0.0.0.0:25000 80"}},
		{name: "port_map can be an attribute", groups: group, config: `port_map = { http = "80" }`,
			inPot: portMap{"http": 80}, ports: []string{"tcp 0.0.0.0:25000 80", "udp 0.0.0.0:25000 80"}},
		{name: "port_map can be a list", groups: group, config: `port_map = [{ http = "80" }]`,
			inPot: portMap{"http": 80}, ports: []string{"tcp 0.0.0.0:25000 80", "udp 0.0.0.0:25000 80"}},
		{name: "ports of a task's own resources are published", old: old, config: `port_map = { http = "80" }`,
			inPot: portMap{"http": 80}, ports: []string{"tcp 192.0.2.7:25002 80", "udp 192.0.2.7:25002 80"}},
		{name: "nothing is published in the host's network", groups: group, config: `network_mode = "host"`, inPot: portMap{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := taskOf(t, least+tc.config)
			cfg.Resources.Ports = tc.groups
			cfg.Resources.NomadResources.Networks = tc.old
			p, err := backendOf(t, "").plan(cfg)
			must.NoError(t, err)
			must.Eq(t, tc.inPot, p.portMap)
			var got []string
			for _, port := range p.spec.Ports {
				got = append(got, string(port.Proto)+" "+port.Host.String()+" "+strconv.Itoa(int(port.To)))
			}
			must.Eq(t, tc.ports, got)
		})
	}
}

func TestPlan_env(t *testing.T) {
	leak.Check(t, leak.Foreign)
	cfg := taskOf(t, least+`port_map { http-admin = 80 }`)
	cfg.Resources.Ports = ports(structs.AllocatedPortMapping{Label: "http-admin", Value: 25000})
	p, err := backendOf(t, "").plan(cfg)
	must.NoError(t, err)
	must.Eq(t, []string{"A=1", "NOMAD_PORT_http_admin=80"}, p.setPortEnv(cfg))
}

func TestTaskConfig_mounts(t *testing.T) {
	leak.Check(t, leak.Foreign)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	alloc, allowed, other := filepath.Join(dir, "alloc"), filepath.Join(dir, "allowed"), filepath.Join(dir, "other")
	for _, d := range []string{alloc + "/web/local/www", allowed + "/www", other, dir + "/allowed-not"} {
		must.NoError(t, os.MkdirAll(d, 0o755))
	}
	must.NoError(t, os.Symlink(other, allowed+"/out"))
	must.NoError(t, os.Symlink(allowed+"/www", other+"/in"))
	must.NoError(t, os.Symlink("/etc", alloc+"/web/local/out"))
	volumes := `volumes {
		enabled       = true
		allowed_paths = ["` + allowed + `"]
	}`
	for _, tc := range []struct {
		name, plugin, source string
		want                 string // the mount's source, or
		wantErr              string
	}{
		{name: "a directory below an allowed path is mounted", plugin: volumes, source: allowed + "/www", want: allowed + "/www"},
		{name: "an allowed path is mounted", plugin: volumes, source: allowed, want: allowed},
		{name: "a link to an allowed path is followed", plugin: volumes, source: other + "/in", want: allowed + "/www"},
		{name: "a link out of the allowed paths is refused", plugin: volumes, source: allowed + "/out",
			wantErr: other + " is not below this client's volumes.allowed_paths: " + allowed},
		{name: "a path out of the allowed paths is refused", plugin: volumes, source: allowed + "/../other",
			wantErr: other + " is not below this client's volumes.allowed_paths: " + allowed},
		{name: "a name that begins like an allowed path is refused", plugin: volumes, source: allowed + "-not",
			wantErr: allowed + "-not is not below this client's volumes.allowed_paths: " + allowed},
		{name: "without allowed_paths any path is mounted", plugin: `volumes { enabled = true }`, source: other, want: other},
		{name: "the task's own directory is mounted", source: "/local/www", want: alloc + "/web/local/www"},
		{name: "a link out of the task's own directory is refused", source: "/local/out", wantErr: "/local/out leads out of the task's directory"},
		{name: "a path out of the task's own directory is a host path", source: "/local/../etc",
			wantErr: "host paths are disabled on this client: /etc; set volumes { enabled = true } in its plugin configuration"},
		{name: "a relative path is refused", plugin: volumes, source: "www", wantErr: `must be an absolute path, not "www"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := taskOf(t, least+`mount_read_only = ["`+tc.source+`:/www"]`)
			cfg.AllocDir = alloc
			p, err := backendOf(t, tc.plugin).plan(cfg)
			if tc.wantErr != "" {
				must.EqError(t, err, "config.mount_read_only[0]: source: "+tc.wantErr)
				return
			}
			must.NoError(t, err)
			must.Eq(t, pot.Mount{Source: tc.want, Target: "/www", ReadOnly: true, Resolved: true}, p.spec.Mounts[4])
		})
	}
	t.Run("Nomad's volumes are mounted without leave", func(t *testing.T) {
		cfg := taskOf(t, least)
		cfg.Mounts = []*drivers.MountConfig{{HostPath: "/vol", TaskPath: "/data", Readonly: true, PropagationMode: "private"}}
		p, err := backendOf(t, "").plan(cfg)
		must.NoError(t, err)
		must.Eq(t, pot.Mount{Source: "/vol", Target: "/data", ReadOnly: true}, p.spec.Mounts[4])
	})
}

func TestTaskConfig_limits(t *testing.T) {
	leak.Check(t, leak.Foreign)
	for _, tc := range []struct {
		name           string
		memory, most   int64
		share          float64
		config         string
		bytes, percent int64
	}{
		{name: "memory is the limit", memory: 64, bytes: 64 << 20},
		{name: "memory_max wins", memory: 64, most: 256, bytes: 256 << 20},
		{name: "memory_max of -1 is no limit", memory: 64, most: -1},
		{name: "a share is not a limit", memory: 64, share: 0.5, bytes: 64 << 20},
		{name: "with cpu_hard_limit a share is a limit", memory: 64, share: 0.5, config: `cpu_hard_limit = true`, bytes: 64 << 20, percent: 200},
		{name: "a hard limit is at least one percent", memory: 64, share: 0.001, config: `cpu_hard_limit = true`, bytes: 64 << 20, percent: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := taskOf(t, least+tc.config)
			cfg.Resources.NomadResources.Memory = structs.AllocatedMemoryResources{MemoryMB: tc.memory, MemoryMaxMB: tc.most}
			cfg.Resources.LinuxResources.PercentTicks = tc.share
			p, err := backendOf(t, "").plan(cfg)
			must.NoError(t, err)
			must.Eq(t, pot.Limits{MemoryBytes: tc.bytes, CPUPercent: tc.percent}, p.spec.Limits)
		})
	}
}

// A key that the driver does not have is refused when the job's config is decoded, and not
// ignored: devices, for example.
func TestTaskConfigSpec_devices(t *testing.T) {
	leak.Check(t, leak.Foreign)
	schema, diags := hclspecutils.Convert(taskConfigSpec)
	must.False(t, diags.HasErrors())
	_, diags, _ = hclutils.ParseHclInterface(map[string]any{
		"image": "https://images.example.org", "pot": "hello", "tag": "1.0", "devices": []string{"/dev/kmem"},
	}, schema, nil)
	must.True(t, diags.HasErrors())
	must.StrContains(t, diags.Error(), `"devices"`)
}

// The path of Nomad's data directory may have links in it. A link that a task has put in
// place of a directory of its allocation is refused.
func TestBackend_plan_links(t *testing.T) {
	leak.Check(t, leak.Foreign)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	must.NoError(t, os.MkdirAll(dir+"/real/alloc", 0o755))
	must.NoError(t, os.Symlink("real", dir+"/link"))
	must.NoError(t, os.Symlink("/etc", dir+"/real/alloc/logs"))
	cfg := taskOf(t, least)
	cfg.AllocDir = dir + "/link"
	p, err := backendOf(t, "").plan(cfg)
	must.NoError(t, err)
	must.Eq(t, pot.Mount{Source: dir + "/real/alloc/logs", Target: "/alloc/logs", ReadOnly: true, Resolved: true}, p.spec.Mounts[1])
	_, err = tree.OpenSource(p.spec.Mounts[1].Source, p.spec.Mounts[1].Resolved)
	must.ErrorIs(t, err, tree.ErrLink)
}
