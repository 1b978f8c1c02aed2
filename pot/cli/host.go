package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/native"
	"nomad-driver-pot/pot/potconf"
)

// Environment variables with the defaults of flags, so that commands can be typed as pot's
// are.
const (
	configVariable     = "POT_CONFIG"
	dirVariable        = "POT_DIR"
	supervisorVariable = "POT_SUPERVISOR"
)

// hostFlags are the flags that all commands about this host have: its configuration.
type hostFlags struct {
	flags      *pflag.FlagSet // that they are among
	file       string         // pot.conf of the host: --config
	root       string         // "": POT_ZFS_ROOT
	dir        string         // of the driver's state: records and addresses
	supervisor string         // "": pot-supervisor beside this program
	lenient    bool           // accept a --config or --dir that does not exist
}

// addHostFlags adds hostFlags to c. They have no letters: pot uses those for other flags.
// Add it after the command's own flags: it leaves out -v if the command has one, and
// completes -p only if that exists.
func addHostFlags(c *cobra.Command) *hostFlags { return addHostFlagsWith(c, "") }

// addHostFlagsWith is addHostFlags with a letter for --config.
func addHostFlagsWith(c *cobra.Command, letter string) *hostFlags {
	paths := potconf.PathsFor(native.Name)
	f := c.Flags()
	o := &hostFlags{flags: f}
	f.StringVarP(&o.file, "config", letter, cmp.Or(os.Getenv(configVariable), paths.PotConfig), "pot's configuration `file`; also $"+configVariable)
	f.StringVar(&o.root, "zfs-root", "", "root `dataset` of all others, instead of POT_ZFS_ROOT")
	f.StringVar(&o.dir, "dir", cmp.Or(os.Getenv(dirVariable), paths.Dir), "`directory` of the driver's state; also $"+dirVariable)
	f.StringVar(&o.supervisor, "supervisor", os.Getenv(supervisorVariable), "`path` of pot-supervisor, if not beside this program; also $"+supervisorVariable)
	if f.Lookup("verbose") == nil && f.ShorthandLookup("v") == nil {
		f.BoolP("verbose", "v", false, "ignored; kept for compatibility")
	}
	completeHost(c, o)
	return o
}

// configure returns the configuration of the host and of its pots. It reads pot.conf(5) and
// pot.default.conf beside it as the driver does, and changes nothing on the host.
func (o *hostFlags) configure() (potconf.HostConfig, potconf.Config, error) {
	if err := o.check(); err != nil {
		return potconf.HostConfig{}, potconf.Config{}, err
	}
	return potconf.Configure(potconf.Files(o.file), potconf.Overrides{
		Host: native.Name, Dir: o.dir, ZFSRoot: o.root, Supervisor: o.supervisorPath(),
	})
}

// check returns an error if --config or --dir was typed and does not exist: without it a
// typing error would show an empty host, or create one. The defaults may be missing on a
// host without pots.
func (o *hostFlags) check() error {
	var errs []error
	for name, at := range map[string]struct{ path, kind string }{"config": {o.file, "file"}, "dir": {o.dir, "directory"}} {
		if f := o.flags.Lookup(name); o.lenient || !f.Changed {
			continue
		}
		if _, err := os.Stat(at.path); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("--%s: no such %s: %s", name, at.kind, at.path))
		}
	}
	return errors.Join(errs...)
}

// open opens the host, as the driver does by the same configuration.
func (o *hostFlags) open() (pot.Host, potconf.Config, error) {
	config, pots, err := o.configure()
	if err != nil {
		return pot.Host{}, pots, err
	}
	host, err := native.Open(config)
	return host, pots, err
}

// supervisorPath returns the path of pot-supervisor. It need not exist for commands that
// start nothing.
func (o *hostFlags) supervisorPath() string {
	return cmp.Or(o.supervisor, besideThis("pot-supervisor"))
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
