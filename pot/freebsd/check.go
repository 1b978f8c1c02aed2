package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/run"
)

// checker checks what the host has.
type checker struct {
	runner  run.Runner
	zfs     zfs.Commands
	admin   *zfs.Admin
	kernel  Kernel
	config  Config
	routing *routing // forgets rules that were flushed
	root    string   // "" but in tests: /etc is below it
}

// check implements pot.Host's Check. Each finding says what would fix it. Without root most
// of it cannot be read, so the rest is left out.
func (c checker) check(ctx context.Context) []pot.CheckResult {
	found := []pot.CheckResult{{Severity: pot.Info, Key: "host", Text: "freebsd"}}
	add := func(w pot.Severity, key, text string, args ...any) {
		found = append(found, pot.CheckResult{Severity: w, Key: key, Text: fmt.Sprintf(text, args...)})
	}
	if os.Geteuid() != 0 {
		add(pot.Fatal, "root", "not root: jails need it; run the Nomad agent as root")
		return found
	}
	if info, err := os.Stat(c.config.Supervisor); err != nil {
		add(pot.Fatal, "supervisor", "%v: put pot-supervisor beside the plugin, or say where it is with supervisor", err)
	} else if info.Mode()&0o111 == 0 {
		add(pot.Fatal, "supervisor", "%s: may not be executed: chmod 755", c.config.Supervisor)
	}
	c.datasets(ctx, add)
	c.pool(ctx, add)
	if release, err := c.kernel.Sysctl("kern.osreldate"); err == nil {
		add(pot.Info, "osreldate", "%d", release)
	}
	if release, err := pot.KernelRelease(); err == nil {
		add(pot.Info, "release", "%s", release)
	}
	if version := shellToolVersion(shellTool); version != "" {
		add(pot.Info, "pot_version", "%s", version)
	}
	if out, err := c.runner.Run(ctx, nil, "devfs", "rule", "-s", ruleset, "show"); err != nil || strings.TrimSpace(out) == "" {
		add(pot.Fatal, "devfs", "devfs ruleset %s is not there: service devfs restart", ruleset)
	}
	if on, err := c.kernel.Sysctl("kern.features.vimage"); err != nil || on == 0 {
		add(pot.Fatal, "vnet", "no VIMAGE in this kernel: jails cannot have networks of their own")
	} else {
		add(pot.Info, "vnet", "true")
	}
	if on, err := c.kernel.Sysctl("kern.racct.enable"); err != nil || on == 0 {
		add(pot.Degraded, "limits", "memory and CPU limits, and usage, are off: echo kern.racct.enable=1 >> /boot/loader.conf; shutdown -r now")
	} else {
		add(pot.Info, "limits", "rctl")
	}
	c.network(ctx, add)
	return found
}

// leastFree is what a clone and its first writes need, in bytes. An image that does not fit
// fails when it is received.
const leastFree = 16 << 20

type adder func(w pot.Severity, key, text string, args ...any)

// datasets checks that there is a mounted dataset for pots, and room in it.
func (c checker) datasets(ctx context.Context, add adder) {
	jails := c.config.ZFSRoot + "/jails"
	mounted, free, err := c.zfs.Space(ctx, jails)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		add(pot.Fatal, "datasets", "%s is not there: zfs create -p %s, or set zfs_root", jails, jails)
		return
	case err != nil:
		add(pot.Fatal, "datasets", "%v", err)
		return
	}
	if !mounted {
		add(pot.Fatal, "datasets", "%s is not mounted: zfs mount %s", jails, jails)
	}
	add(pot.Info, "zfs_root", "%s", c.config.ZFSRoot)
	const gib = 1 << 30 // so that it does not change with every check
	add(pot.Info, "free_bytes", "%d", free/gib*gib)
	if free < leastFree {
		add(pot.Fatal, "space", "%s has only %d bytes left, and a pot may need %d: zfs list -o space %s", jails, free, leastFree, c.config.ZFSRoot)
	}
}

// pool checks the health of the pool. A pool that cannot be written to can hold no
// pots, and a degraded one may soon be like that (zpoolconcepts(7), Device Failure and
// Recovery).
func (c checker) pool(ctx context.Context, add adder) {
	pool, _, _ := strings.Cut(c.config.ZFSRoot, "/")
	health, err := c.admin.Health(ctx, pool)
	switch {
	case err != nil:
		add(pot.Fatal, "pool", "pool %s: %v", pool, err)
	case health == "ONLINE":
		add(pot.Info, "pool", "%s", health)
	case health == "DEGRADED":
		add(pot.Degraded, "pool", "pool %s is DEGRADED: zpool status %s", pool, pool)
	default:
		add(pot.Fatal, "pool", "pool %s is %s: zpool status %s", pool, health, pool)
	}
}
