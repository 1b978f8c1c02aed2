package cli

import (
	"cmp"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/native"
)

// confFlags are the flags for the host's configuration.
type confFlags struct {
	defaults pot.HostPaths
	file     string
	root     string
}

// addConfFlags adds the flags for the host's configuration to c.
func addConfFlags(c *cobra.Command) *confFlags {
	h := &confFlags{defaults: pot.PathsFor(native.Name)}
	c.Flags().StringVarP(&h.file, "config", "c", h.defaults.PotConfig, "pot's configuration `file`")
	c.Flags().StringVar(&h.root, "zfs-root", "", "root `dataset` of all others, instead of POT_ZFS_ROOT")
	return h
}

// open opens the host as a driver does that has nothing else configured.
func (h *confFlags) open(supervisor string) (pot.Host, pot.SystemConf, error) {
	conf, err := pot.ReadSystemConf(pot.PotConfs(h.file)...)
	if err != nil {
		return pot.Host{}, conf, err
	}
	network, err := pot.ParseNetwork(cmp.Or(conf.Network, pot.DefaultNetwork.Prefix.String()), conf.Gateway)
	if err != nil {
		return pot.Host{}, conf, err
	}
	config := pot.HostConfig{
		Dir: h.defaults.Dir, Supervisor: supervisor, Network: network,
		ZFSRoot: cmp.Or(h.root, conf.ZFSRoot, pot.DefaultZFSRoot),
	}
	if err := config.Apply(&conf); err != nil {
		return pot.Host{}, conf, err
	}
	host, err := native.Open(config)
	return host, conf, err
}

// besideThis returns the path of a program in the directory of this one.
func besideThis(program string) string {
	self, err := os.Executable()
	if err != nil {
		return program
	}
	return filepath.Join(filepath.Dir(self), program)
}
