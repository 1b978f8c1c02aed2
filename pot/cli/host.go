package cli

import (
	"cmp"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/native"
	"nomad-driver-pot/pot/potconf"
)

// confFlags are the flags for the host's configuration.
type confFlags struct {
	paths      potconf.HostPaths
	file       string
	root       string
	dir        string
	supervisor string
}

// newConfFlags returns the flags with their defaults.
func newConfFlags() confFlags {
	paths := potconf.PathsFor(native.Name)
	return confFlags{paths: paths, dir: paths.Dir}
}

// addConfFlags adds the flags for the host's configuration to c.
func addConfFlags(c *cobra.Command) *confFlags {
	h := newConfFlags()
	c.Flags().StringVarP(&h.file, "config", "c", h.paths.PotConfig, "pot's configuration `file`")
	c.Flags().StringVar(&h.root, "zfs-root", "", "root `dataset` of all others, instead of POT_ZFS_ROOT")
	return &h
}

// configure returns the configuration of the host and of its pots.
func (h *confFlags) configure() (potconf.HostConfig, potconf.Config, error) {
	return potconf.Configure(potconf.Files(h.file), potconf.Overrides{
		Host: native.Name, Dir: h.dir, ZFSRoot: h.root, Supervisor: h.supervisorPath(),
	})
}

// open opens the host, as the driver does by the same configuration.
func (h *confFlags) open() (pot.Host, potconf.Config, error) {
	config, pots, err := h.configure()
	if err != nil {
		return pot.Host{}, pots, err
	}
	host, err := native.Open(config)
	return host, pots, err
}

func (h *confFlags) supervisorPath() string {
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
