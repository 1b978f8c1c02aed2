//go:build linux

// Package linux implements pot.Host on a Linux machine: directories for datasets, overlayfs
// for clones, namespaces for jails, a bridge and veth pairs for networks, control groups
// for limits.
//
// It is for development: to try the driver, write jobs and run tests where there is no
// FreeBSD. It runs the same images, if the programs in them are Linux's. It is not a
// security boundary: root in a jail has few capabilities left, but it has the user ID of
// the host's root.
//
// Start reading at New, which names the type that implements each interface of pot.Host;
// each type has a file. Package inside is the first process of a jail, package supervise
// starts commands in it.
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

// New returns the host that keeps datasets and state in dir, which is created when it is
// first needed. supervisor is the path of pot-supervisor. New itself changes nothing.
func New(dir, supervisor string) (pot.Host, error) {
	if !filepath.IsAbs(dir) {
		return pot.Host{}, fmt.Errorf("state directory: must be an absolute path, not %q", dir)
	}
	// Mount options are separated by commas, the directories of lowerdir by colons
	// (overlayfs.rst).
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
		Redirects: pot.NoRedirects{},
		Aliases:   pot.Unsupported{},
		Jails:     j,
		Limits:    l,
		Check:     checker{dir: dir, supervisor: supervisor, limiter: l}.check,
		Leftovers: leftovers{datasets: d, jails: j}.find,
		Upstreams: func() []netip.Addr { return upstreams(os.DirFS("/")) },

		Mountpoint: pot.Unsupported{}.Mountpoint,
		Unpack:     pot.Unsupported{}.Unpack,
		Setup:      pot.Unsupported{}.Setup,
		Teardown:   pot.Unsupported{}.Teardown,
	}, nil
}

// checker inspects what the host has.
type checker struct {
	dir        string
	supervisor string
	limiter    *limiter
}

// check implements pot.Host.Check. It leaves nothing behind and changes nothing that a
// running pot could notice. A driver calls it with each fingerprint, so it starts no
// program.
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

// freeBytes returns the space that root has left on the file system of dir, or of the
// nearest parent that exists, in whole GiB so that the attribute rarely changes.
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
