package driver

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/image"
	"nomad-driver-pot/pot"
)

func TestConfig_settings(t *testing.T) {
	t.Run("nothing set is all defaults", func(t *testing.T) {
		s, err := configOf(t, "").settings("linux")
		must.NoError(t, err)
		must.Eq(t, settings{
			enabled:    true,
			dir:        "/var/lib/nomad-driver-pot",
			cacheDir:   "/var/lib/nomad-driver-pot/cache",
			supervisor: s.supervisor,
			network:    pot.DefaultNetwork,
			pull:       image.Options{MaxBytes: 16 << 30, Timeout: 30 * time.Minute, StallTimeout: time.Minute, MaxParallel: 4},
			modes:      networkModes,
		}, s)
		must.Eq(t, "pot-supervisor", filepath.Base(s.supervisor))
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
			}
			volumes {
				enabled       = true
				allowed_paths = ["/srv"]
			}
			allowed_network_modes = ["public-bridge", "none"]
		`).settings("linux")
		must.NoError(t, err)
		must.Eq(t, settings{
			dir:        "/pots",
			cacheDir:   "/cache",
			supervisor: "/usr/local/libexec/pot-supervisor",
			network:    pot.Network{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.254")},
			pull:       image.Options{MaxBytes: 2 << 30, Timeout: 10 * time.Minute, StallTimeout: 20 * time.Second, MaxParallel: 2},
			volumes:    VolumesConfig{Enabled: true, AllowedPaths: []string{"/srv"}},
			modes:      []pot.NetworkMode{pot.PublicBridge, pot.NoNetwork},
		}, s)
	})

	t.Run("a host that this machine is not is a fault", func(t *testing.T) {
		_, err := configOf(t, `host = "freebsd"`).settings("linux")
		must.EqError(t, err, "host: this machine is not one for freebsd pots")
	})
}

func TestConfig_settings_faults(t *testing.T) {
	_, err := configOf(t, `
			host       = "windows"
			fs_root    = "pots"
			network    = "10.1.0.0/33"
			supervisor = "pot-supervisor"
			cache { dir = "cache" }
			pull {
				max_parallel   = -1
				timeout        = "10"
				stall_timeout  = "0s"
				max_image_size = "huge"
			}
			volumes { allowed_paths = ["srv"] }
			allowed_network_modes = ["bridge"]
		`).settings("linux")
	must.EqError(t, err, `fs_root: must be an absolute path, not "pots"; `+
		`cache.dir: must be an absolute path, not "cache"; `+
		`supervisor: must be an absolute path, not "pot-supervisor"; `+
		`host: must be auto, freebsd or linux, not "windows"; `+
		`network: must be as in 10.192.0.0/10, not "10.1.0.0/33"; `+
		`pull.timeout: must be a time, as in 90s or 5m, not "10"; `+
		`pull.stall_timeout: must be a time, as in 90s or 5m, not "0s"; `+
		`pull.max_parallel: must be at least 1, not -1; `+
		`pull.max_image_size: must be a size, as in 2GiB, not "huge"; `+
		`allowed_network_modes[0]: must be public-bridge, host or none, not "bridge"; `+
		`volumes.allowed_paths[0]: must be an absolute path, not "srv"`)
}

func TestDriver_SetConfig(t *testing.T) {
	opened := ""
	d := New(hclog.NewNullLogger(), Native{Name: "linux", Open: func(dir, supervisor string) (pot.Host, error) {
		opened = dir
		return pot.Host{Name: "linux"}, nil
	}}, "1.2.3")
	t.Cleanup(func() { d.Shutdown(t.Context()) })
	_, err := d.ready()
	must.EqError(t, err, "not configured yet")
	must.NoError(t, d.SetConfig(&base.Config{AgentConfig: &base.AgentConfig{}}))
	_, err = d.ready()
	must.NoError(t, err)
	must.Eq(t, "/var/lib/nomad-driver-pot", opened)
}
