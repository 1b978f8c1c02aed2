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

// confFlags are the flags for the host's configuration. init and doctor, which need no
// state of the driver, have only these.
type confFlags struct {
	paths      potconf.HostPaths // defaults of this system
	file       string            // pot.conf of the host: -c or --config
	root       string            // "": POT_ZFS_ROOT
	dir        string            // of the driver's state: records and addresses
	supervisor string            // "": pot-supervisor beside this program
}

// newConfFlags returns the flags with their defaults.
func newConfFlags() confFlags {
	paths := potconf.PathsFor(native.Name)
	return confFlags{paths: paths, dir: paths.Dir}
}

// addConfFlags adds the flags for the host's configuration to c. -c is free for the file
// here: init and doctor have no other -c.
func addConfFlags(c *cobra.Command) *confFlags {
	h := newConfFlags()
	c.Flags().StringVarP(&h.file, "config", "c", h.paths.PotConfig, "pot's configuration `file`")
	c.Flags().StringVar(&h.root, "zfs-root", "", "root `dataset` of all others, instead of POT_ZFS_ROOT")
	return &h
}

// configure returns the configuration of the host and of its pots. It reads pot.conf(5) and
// pot.default.conf beside it as the driver does, and changes nothing on the host.
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

// besideThis returns the path of a program in the directory of this one. make build puts
// both programs into one directory. If the system cannot tell the path of this program, the
// name alone is returned.
func besideThis(program string) string {
	self, err := os.Executable()
	if err != nil {
		return program
	}
	return filepath.Join(filepath.Dir(self), program)
}
