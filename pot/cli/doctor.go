package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/native"
)

// doctorWithin bounds a look at a host.
const doctorWithin = time.Minute

// doctor says what this host has and lacks. Its status is 1 when no pot can
// start here.
func doctor(name string, args []string, stdout, stderr io.Writer) int {
	own := pot.DefaultsOf(native.Name)
	flags := flag.NewFlagSet(name+" doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("c", own.PotConfig, "pot's configuration `file`")
	root := flags.String("zfs-root", "", "the `dataset` that all others are below, instead of POT_ZFS_ROOT")
	supervisor := flags.String("supervisor", besideThis("pot-supervisor"), "`path` of pot-supervisor")
	output := flags.String("o", "text", "text or json")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || *output != "text" && *output != "json" {
		flags.Usage()
		return 2
	}
	found, err := examine(own, *file, *root, *supervisor)
	if err != nil {
		fmt.Fprintf(stderr, "%s: cannot look at this host: %v\n", name, err)
		return 1
	}
	if err := tell(stdout, found, *output); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	for _, f := range found {
		if f.Weight == pot.Fatal {
			return 1
		}
	}
	return 0
}

// examine opens the host as the driver does that has nothing configured but this.
func examine(own pot.HostDefaults, file, root, supervisor string) ([]pot.Finding, error) {
	conf, err := pot.ReadHostConf(pot.PotConfs(file)...)
	if err != nil {
		return nil, err
	}
	network, err := pot.ParseNetwork(cmp.Or(conf.Network, pot.DefaultNetwork.Prefix.String()), conf.Gateway)
	if err != nil {
		return nil, err
	}
	config := pot.HostConfig{
		Dir: own.Dir, Supervisor: supervisor, Network: network,
		ZFSRoot: cmp.Or(root, conf.ZFSRoot, pot.DefaultZFSRoot),
	}
	if err := config.Take(&conf); err != nil {
		return nil, err
	}
	host, err := native.Open(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), doctorWithin)
	defer cancel()
	return host.Check(ctx), nil
}

// weights are what findings weigh, in words.
var weights = map[pot.Weight]string{pot.Fact: "has", pot.Absent: "lacks", pot.Fatal: "needs"}

// tell writes findings a line each, or as JSON.
func tell(w io.Writer, found []pot.Finding, output string) error {
	type finding struct {
		Weight string `json:"weight"` // has, lacks or needs
		Key    string `json:"key"`
		Text   string `json:"text"`
	}
	all := []finding{}
	for _, f := range found {
		all = append(all, finding{weights[f.Weight], f.Key, f.Text})
	}
	if output == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	for _, f := range all {
		if _, err := fmt.Fprintf(w, "%-6s %-11s %s\n", f.Weight, f.Key, f.Text); err != nil {
			return err
		}
	}
	return nil
}

// besideThis is the path of a program in the directory of this one.
func besideThis(program string) string {
	self, err := os.Executable()
	if err != nil {
		return program
	}
	return filepath.Join(filepath.Dir(self), program)
}
