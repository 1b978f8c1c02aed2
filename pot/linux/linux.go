//go:build linux

// Package linux is a Linux machine as a pot.Host: directories for datasets,
// overlayfs for clones, namespaces for jails, a bridge and veth pairs for the
// public network, control groups for limits.
//
// It is for development: to try the driver, write jobs and run tests where there
// is no FreeBSD. It runs the very images that FreeBSD does, if the programs in
// them are Linux's. It is not a security boundary: root in a jail has few
// capabilities left, but it is the host's root by number.
package linux

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
)

// New is the host whose datasets and state are in dir, made when it is first
// needed. supervisor is the path of the program that a jail's first process is
// made of. Nothing is changed yet.
func New(dir, supervisor string) (pot.Host, error) {
	if !filepath.IsAbs(dir) {
		return pot.Host{}, fmt.Errorf("state directory: must be an absolute path, not %q", dir)
	}
	// Mount options are split at commas, and lowerdir at colons (overlayfs.rst).
	if strings.ContainsAny(dir, `,:\`) {
		return pot.Host{}, fmt.Errorf(`state directory: must not have , : or \ in it: %q`, dir)
	}
	d := datasets{dir: dir}
	l := newLimiter(dir)
	n := new(networks)
	j := jails{dir: filepath.Join(dir, "host", "jails"), supervisor: supervisor, limiter: l, networks: n}
	return pot.Host{
		Name:      "linux",
		Images:    d,
		Datasets:  d,
		Snapshots: snapshots{d},
		Mounts:    mounts{},
		Links:     links{lock: bridgeLock, networks: n},
		Jails:     j,
		Limits:    l,
		Check:     checker{dir: dir, supervisor: supervisor, limiter: l}.check,
		Leftovers: leftovers{datasets: d, jails: j}.find,
		Upstreams: func() []netip.Addr { return upstreams(os.DirFS("/")) },
	}, nil
}

// checker looks at what the host has.
type checker struct {
	dir        string
	supervisor string
	limiter    *limiter
}

// check implements pot.Host's Check. It leaves nothing behind, and makes nothing that a
// running pot could notice.
func (c checker) check(context.Context) []pot.CheckResult {
	found := []pot.CheckResult{{Severity: pot.Info, Key: "host", Text: "linux"}}
	add := func(w pot.Severity, key, text string) {
		found = append(found, pot.CheckResult{Severity: w, Key: key, Text: text})
	}
	if os.Geteuid() != 0 {
		add(pot.Fatal, "root", "not root: namespaces and mounts need it; run the Nomad agent as root")
		return found
	}
	if err := unix.Access(c.supervisor, unix.X_OK); err != nil {
		add(pot.Fatal, "supervisor", fmt.Sprintf("%s: %v: put pot-supervisor beside the plugin, or say where it is with supervisor", c.supervisor, err))
	}
	if data, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(data), "\toverlay\n") {
		add(pot.Degraded, "overlay", "overlayfs is not loaded: modprobe overlay")
	}
	if err := c.limiter.probe(); err != nil {
		add(pot.Degraded, "limits", fmt.Sprintf("memory and CPU limits are off: %v", err))
	} else {
		add(pot.Info, "limits", c.limiter.version())
	}
	if release, err := pot.KernelRelease(); err == nil {
		add(pot.Info, "release", release)
	}
	if free, err := freeBytes(c.dir); err == nil {
		add(pot.Info, "free_bytes", fmt.Sprint(free))
	}
	return found
}

// freeBytes is what is left for root on the file system that dir is or will be
// on, in whole GiB so that it does not change at every look.
func freeBytes(dir string) (uint64, error) {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(dir, &s)
		if errors.Is(err, unix.ENOENT) && dir != "/" {
			dir = filepath.Dir(dir)
			continue
		}
		const gib = 1 << 30
		return s.Bavail * uint64(s.Bsize) / gib * gib, err
	}
}
