package driver

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
)

func TestConfig_settings(t *testing.T) {
	leak.Check(t, leak.Foreign)
	t.Run("nothing set is all defaults", func(t *testing.T) {
		s, err := configOf(t, "").settings("linux")
		must.NoError(t, err)
		must.Eq(t, settings{
			enabled: true,
			potConfig: potconf.Config{
				Dir: "/var/lib/nomad-driver-pot", Network: pot.DefaultNetwork, Supervisor: s.host.Supervisor,
				Bridges: "/var/lib/nomad-driver-pot/bridges",
				System:  potconf.SystemConf{ZFSRoot: "zroot/pot", Cache: "/var/lib/nomad-driver-pot/cache", FSRoot: "/var/lib/nomad-driver-pot"},
			},
			host: potconf.HostConfig{
				Dir:        "/var/lib/nomad-driver-pot",
				Supervisor: s.host.Supervisor,
				Network:    pot.DefaultNetwork,
				ZFSRoot:    "zroot/pot",
			},
			pull:  fetch.Options{MaxBytes: 16 << 30, MaxTreeBytes: 64 << 30, Timeout: 30 * time.Minute, StallTimeout: time.Minute, MaxParallel: 4},
			modes: defaultModes,
			gc:    gc{images: true, pots: true, interval: 5 * time.Minute, grace: 5 * time.Minute, imageDelay: time.Hour},
		}, s)
		must.Eq(t, "pot-supervisor", filepath.Base(s.host.Supervisor))
	})

	t.Run("no config block is all defaults", func(t *testing.T) {
		c, err := decodeConfig(nil)
		must.NoError(t, err)
		must.Eq(t, configOf(t, ""), c)
	})

	t.Run("everything can be set", func(t *testing.T) {
		s, err := configOf(t, `
			enabled    = false
			host       = "linux"
			zfs_root   = "tank/pot"
			fs_root    = "/pots"
			network    = "10.1.0.0/16"
			gateway    = "10.1.0.254"
			supervisor = "/usr/local/libexec/pot-supervisor"
			cache { dir = "/cache" }
			pull {
				max_parallel   = 2
				timeout        = "10m"
				stall_timeout  = "20s"
				max_image_size = "2GiB"
				max_tree_size  = "8GiB"
			}
			volumes {
				enabled       = true
				allowed_paths = ["/srv"]
			}
			allowed_network_modes = ["public-bridge", "none"]
			allow_attributes      = ["mlock", "exec_stop"]
			allow_hooks           = ["prestart", "poststop"]
			extra_labels          = ["job_id", "node_*", "node_id"]
			gc {
				image          = false
				image_delay    = "24h"
				pot            = false
				interval       = "1h"
				creation_grace = "10m"
				dry_run        = true
			}
		`).settings("linux")
		must.NoError(t, err)
		must.Eq(t, settings{
			potConfig: potconf.Config{
				Dir: "/pots", Network: s.host.Network, Supervisor: "/usr/local/libexec/pot-supervisor", Bridges: "/pots/bridges",
				System: potconf.SystemConf{ZFSRoot: "tank/pot", Cache: "/cache", FSRoot: "/pots"},
			},
			host: potconf.HostConfig{
				Dir:        "/pots",
				Supervisor: "/usr/local/libexec/pot-supervisor",
				Network:    pot.Network{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.254")},
				ZFSRoot:    "tank/pot",
			},
			pull:    fetch.Options{MaxBytes: 2 << 30, MaxTreeBytes: 8 << 30, Timeout: 10 * time.Minute, StallTimeout: 20 * time.Second, MaxParallel: 2},
			volumes: VolumesConfig{Enabled: true, AllowedPaths: []string{"/srv"}},
			modes:   []pot.NetworkMode{pot.PublicBridge, pot.NoNetwork},
			gc:      gc{dryRun: true, interval: time.Hour, grace: 10 * time.Minute, imageDelay: 24 * time.Hour},

			allowAttributes: []string{"mlock", "exec_stop"},
			allowHooks:      []conf.Hook{conf.PreStart, conf.PostStop},
			extraLabels:     []string{"job_id", "node_id", "node_name"},
		}, s)
	})

	t.Run("what is not set is as pot's own configuration has it", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "pot.conf")
		text := "POT_ZFS_ROOT=tank/pot\nPOT_NETWORK=10.2.0.0/16\nPOT_GATEWAY=10.2.0.7\nPOT_EXTIF=em1\nPOT_CACHE=/pot/cache\n"
		must.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		s, err := configOf(t, fmt.Sprintf("pot_config = %q", file)).settings("freebsd")
		must.NoError(t, err)
		must.Eq(t, "/pot/cache", s.potConfig.System.Cache)
		must.Eq(t, potconf.HostConfig{
			Dir:        "/var/db/nomad-driver-pot",
			Supervisor: s.host.Supervisor,
			Network:    pot.Network{Prefix: netip.MustParsePrefix("10.2.0.0/16"), Gateway: netip.MustParseAddr("10.2.0.7")},
			ZFSRoot:    "tank/pot",
			Interface:  "em1",
		}, s.host)
		_, err = configOf(t, fmt.Sprintf("pot_config = %q", file+".not")).settings("freebsd")
		must.ErrorContains(t, err, "pot_config: stat ")
	})

	t.Run("a host that this machine is not is a fault", func(t *testing.T) {
		_, err := configOf(t, `host = "freebsd"`).settings("linux")
		must.EqError(t, err, "host: this machine is not one for freebsd pots")
	})
}

func TestConfig_settings_faults(t *testing.T) {
	leak.Check(t, leak.Foreign)
	_, err := configOf(t, `
			host       = "windows"
			zfs_root   = "-r zroot"
			fs_root    = "pots"
			network    = "10.1.0.0/33"
			supervisor = "pot-supervisor"
			cache { dir = "cache" }
			pull {
				max_parallel   = -1
				timeout        = "10"
				stall_timeout  = "0s"
				max_image_size = "huge"
				max_tree_size  = "0"
			}
			volumes { allowed_paths = ["srv"] }
			allowed_network_modes = ["bridge"]
			allow_hooks           = ["start"]
			extra_labels          = ["job_id", "jobid", "["]
		`).settings("linux")
	must.EqError(t, err, `fs_root: must be an absolute path, not "pots"; `+
		`supervisor: must be an absolute path, not "pot-supervisor"; `+
		`zfs_root: must be the name of a dataset, as in zroot/pot, not "-r zroot"; `+
		`cache.dir: must be an absolute path, not "cache"; `+
		`network: must be as in 10.192.0.0/10, not "10.1.0.0/33"; `+
		`host: must be auto, freebsd or linux, not "windows"; `+
		`pull.timeout: must be a time, as in 90s or 5m, not "10"; `+
		`pull.stall_timeout: must be a time, as in 90s or 5m, not "0s"; `+
		`pull.max_parallel: must be at least 1, not -1; `+
		`pull.max_image_size: must be a size, as in 2GiB, not "huge"; `+
		`pull.max_tree_size: must be a size, as in 2GiB, not "0"; `+
		`allowed_network_modes[0]: must be public-bridge, private-bridge, host, alias, none, task or group, not "bridge"; `+
		`allow_hooks[0]: must be prestart, poststart, prestop or poststop, not "start"; `+
		`extra_labels[1]: "jobid" matches none of job_id, job_name, namespace, node_id, node_name, task_group_name and task_name; `+
		`extra_labels[2]: "[" matches none of job_id, job_name, namespace, node_id, node_name, task_group_name and task_name; `+
		`volumes.allowed_paths[0]: must be an absolute path, not "srv"`)
}

func TestDriver_SetConfig(t *testing.T) {
	leak.Check(t, leak.Foreign)
	opened := ""
	d := New(hclog.NewNullLogger(), Native{Name: "linux", Open: func(c potconf.HostConfig) (pot.Host, error) {
		opened = c.Dir
		return pot.Host{Name: "linux", Leftovers: noLeftovers}, nil
	}}, "1.2.3")
	t.Cleanup(func() { d.Shutdown(t.Context()) })
	_, err := d.ready()
	must.EqError(t, err, "not configured yet")
	must.NoError(t, d.SetConfig(&base.Config{AgentConfig: &base.AgentConfig{}}))
	_, err = d.ready()
	must.NoError(t, err)
	must.Eq(t, "/var/lib/nomad-driver-pot", opened)
}
