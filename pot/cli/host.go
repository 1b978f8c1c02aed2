package cli

import (
	"cmp"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/native"
)

// thisHost is the machine, as flags and pot's configuration say it is kept.
type thisHost struct {
	paths      pot.HostPaths
	file       string
	root       string
	dir        string
	supervisor string
}

// newThisHost is the machine by its defaults.
func newThisHost() thisHost {
	paths := pot.PathsFor(native.Name)
	return thisHost{paths: paths, dir: paths.Dir}
}

// addThisHost gives a command the flags that say which host it is about.
func addThisHost(c *cobra.Command) *thisHost {
	h := newThisHost()
	c.Flags().StringVarP(&h.file, "config", "c", h.paths.PotConfig, "pot's configuration `file`")
	c.Flags().StringVar(&h.root, "zfs-root", "", "the `dataset` that all others are below, instead of POT_ZFS_ROOT")
	return &h
}

// configure returns what the host and its pots are opened with.
func (h *thisHost) configure() (pot.HostConfig, pot.Config, error) {
	return pot.Configure(pot.PotConfs(h.file), pot.Overrides{
		Host: native.Name, Dir: h.dir, ZFSRoot: h.root, Supervisor: h.supervisorPath(),
	})
}

// open opens the host, as the driver does by the same configuration.
func (h *thisHost) open() (pot.Host, pot.Config, error) {
	config, pots, err := h.configure()
	if err != nil {
		return pot.Host{}, pots, err
	}
	host, err := native.Open(config)
	return host, pots, err
}

func (h *thisHost) supervisorPath() string {
	return cmp.Or(h.supervisor, besideThis("pot-supervisor"))
}

// besideThis returns the path of a program in the directory of this one.
func besideThis(program string) string {
	self, err := os.Executable()
	if err != nil {
		return program
	}
	return filepath.Join(filepath.Dir(self), program)
}
