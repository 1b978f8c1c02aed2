// Package freebsd implements pot.Host for FreeBSD, by its own commands: ZFS,
// nullfs and devfs, epair and bridge, pf, jail, rctl.
//
// It has no build constraint: every command line and every parser is tested on
// whatever machine runs the tests. Only what needs a system call lives in a
// _freebsd.go file, behind Kernel.
//
// Datasets, names and files are the same as the shell tool pot's, so that both
// can manage pots on one host: ZFSRoot/jails/NAME holds conf, its child m is the pot's
// root tree.
package freebsd

import (
	"context"
	"net/netip"
	"os"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/run"
)

// Config says where pots are on this host, and how they reach the network.
type Config struct {
	ZFSRoot    string // POT_ZFS_ROOT: the dataset that all others are below
	Interface  string // POT_EXTIF: the uplink; "" for none: no NAT, ports by the supervisor alone
	Network    pot.Network
	Isolate    bool   // POT_ISOLATE_VNET_POTS: pots on a bridge do not reach each other
	Supervisor string // path of pot-supervisor
	LockFile   string // bridges and pf's shared rules are changed by one process at a time

	InterfaceAddr netip.Addr       // POT_EXTIF_ADDR: of the uplink, for pf; not valid: its first
	Extra         []potconf.Uplink // POT_EXTRA_EXTIF
	StatusDir     string           // POT_TMP: where the shell tool looks for what runs; "" for nowhere
	PFRulesHook   string           // POT_EXPORT_PORTS_PF_RULES_HOOK: path of a program; "" for none
}

// ruleset is devfs.rules(5)'s devfsrules_jail: the part of /dev that a jail sees unless its
// devfs_ruleset says otherwise.
const ruleset = "4"

// New returns this machine as a host with pots in c.ZFSRoot. It changes nothing.
func New(r run.Runner, k Kernel, c Config) pot.Host {
	m := mounts{runner: r, kernel: k, supervisor: c.Supervisor}
	admin := zfs.NewAdmin()
	d := &datasets{runner: r, zfs: zfs.Commands{Runner: r}, kernel: k, root: c.ZFSRoot}
	way := &routing{runner: bounded{r}, kernel: k, config: c}
	l := &links{runner: bounded{r}, kernel: k, config: c, routing: way, known: map[pot.Name]attached{}}
	return pot.Host{
		Name:        "freebsd",
		Images:      d,
		Datasets:    d,
		Snapshots:   snapshots{d, admin},
		Mounts:      m,
		Links:       l,
		Redirects:   redirects{runner: r, kernel: k, config: c},
		Aliases:     aliases{runner: r, kernel: k, uplink: c.Interface},
		JoinedCount: true, // sys/kern/kern_racct.c, racct_add_cred
		Jails:       jails{runner: r, kernel: k, mounts: m, links: l, statusFiles: statusFiles{c.StatusDir}},
		Limits:      limiter{runner: r, kernel: k},
		Check:       checker{runner: r, zfs: d.zfs, admin: admin, kernel: k, config: c, routing: way}.check,
		Mountpoint:  func(_ context.Context, dataset string) (string, error) { return d.mountpoint(dataset) },
		Unpack:      d.unpack,
		Leftovers:   leftovers{runner: r, kernel: k, datasets: d, links: l}.find,
		Upstreams:   func() []netip.Addr { return upstreams(os.DirFS("/")) },
		Setup: func(ctx context.Context, o pot.SetupOptions) error {
			return (&setup{SetupOptions: o, runner: r, admin: admin, kernel: k, config: c}).run(ctx)
		},
		Teardown: func(ctx context.Context, o pot.SetupOptions) error {
			return (&setup{SetupOptions: o, runner: r, admin: admin, kernel: k, config: c}).undo(ctx)
		},
	}
}
