package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/native"
)

// doctorWithin bounds a look at a host.
const doctorWithin = time.Minute

// doctorCommand says what this host has and lacks. It fails when no pot can
// start here.
func doctorCommand() *cobra.Command {
	own := pot.DefaultsOf(native.Name)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "say what this host has and lacks, and what mends it",
		Long: `Looks at this host as the driver does, and says in a line each what it has, what
it lacks, and what it needs before a pot can start. In the last case the exit
status is 1.`,
		Args: arguments(),
	}
	file := c.Flags().StringP("config", "c", own.PotConfig, "pot's configuration `file`")
	root := c.Flags().String("zfs-root", "", "the `dataset` that all others are below, instead of POT_ZFS_ROOT")
	supervisor := c.Flags().String("supervisor", "", "`path` of pot-supervisor, if it is not beside this program")
	output := addOutput(c)
	c.RunE = act(func(c *cobra.Command, _ []string) error {
		path := cmp.Or(*supervisor, besideThis("pot-supervisor"))
		found, err := examine(c.Context(), own, *file, *root, path)
		if err != nil {
			return fmt.Errorf("cannot look at this host: %w", err)
		}
		if err := tell(c.OutOrStdout(), found, *output); err != nil {
			return err
		}
		if slices.ContainsFunc(found, func(f pot.Finding) bool { return f.Weight == pot.Fatal }) {
			return errSaid
		}
		return nil
	})
	return c
}

// examine opens the host as the driver does that has nothing configured but this.
func examine(ctx context.Context, own pot.HostDefaults, file, root, supervisor string) ([]pot.Finding, error) {
	conf, err := pot.ReadHostConf(pot.PotConfs(file)...)
	if err != nil {
		return nil, err
	}
	network, err := pot.ParseNetwork(cmp.Or(conf.Network, pot.DefaultNetwork.Prefix.String()), conf.Gateway)
	if err != nil {
		return nil, err
	}
	host, err := native.Open(pot.HostConfig{
		Dir: own.Dir, Supervisor: supervisor, Network: network, Interface: conf.Interface,
		ZFSRoot: cmp.Or(root, conf.ZFSRoot, pot.DefaultZFSRoot), Isolate: conf.Isolate,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, doctorWithin)
	defer cancel()
	return host.Check(ctx), nil
}

// weights are what findings weigh, in words.
var weights = map[pot.Weight]string{pot.Fact: "has", pot.Absent: "lacks", pot.Fatal: "needs"}

// finding is a pot.Finding in words.
type finding struct {
	Weight string `json:"weight"` // has, lacks or needs
	Key    string `json:"key"`
	Text   string `json:"text"`
}

// tell writes findings a line each, or as JSON.
func tell(w io.Writer, found []pot.Finding, o output) error {
	all := []finding{}
	for _, f := range found {
		all = append(all, finding{weights[f.Weight], f.Key, f.Text})
	}
	return o.tell(w, all, func(w io.Writer) error {
		for _, f := range all {
			if _, err := fmt.Fprintf(w, "%-6s %-11s %s\n", f.Weight, f.Key, f.Text); err != nil {
				return err
			}
		}
		return nil
	})
}

// besideThis is the path of a program in the directory of this one.
func besideThis(program string) string {
	self, err := os.Executable()
	if err != nil {
		return program
	}
	return filepath.Join(filepath.Dir(self), program)
}
