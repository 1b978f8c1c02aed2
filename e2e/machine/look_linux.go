package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
)

// Look records mounts, network interfaces, network namespaces, control groups, processes of
// pots, and the files below dir, the state directory of a host. It leaves out the named
// images. A namespace without a name in /run/netns shows by its processes.
func Look(dir string, images ...string) (State, error) {
	s := State{}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	for _, m := range mounts {
		s["mount"] = append(s["mount"], m.Mountpoint)
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	for _, l := range links {
		s["interface"] = append(s["interface"], l.Attrs().Name)
	}
	for pattern, kind := range map[string]string{
		"/run/netns/*":                       "network namespace",
		"/sys/fs/cgroup/nomad-driver-pot*":   "control group", // version 2
		"/sys/fs/cgroup/*/nomad-driver-pot*": "control group",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		s[kind] = append(s[kind], found...)
	}
	if s["process"], err = processes(); err != nil {
		return nil, err
	}
	s["file"], err = files(dir, images)
	return s, err
}

// processes returns the supervisors, and the processes that are in other PID namespaces
// than this one. It leaves out orphans that have ended: process 1 must wait for them, which
// may take a while.
func processes() ([]string, error) {
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		comm, err := os.ReadFile(filepath.Join("/proc", e.Name(), "comm"))
		if err != nil {
			continue // no process, or one that has ended
		}
		ns, err := os.Readlink(filepath.Join("/proc", e.Name(), "ns/pid"))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil || strings.Contains(string(stat), ") Z 1 ") { // proc(5), stat: state, parent
			continue
		}
		if name := strings.TrimSpace(string(comm)); ns != own || name == "pot-supervisor" {
			all = append(all, e.Name()+" "+name)
		}
	}
	return all, nil
}

// Scratch returns a place for pots with its files in dir. Linux needs no preparation.
func Scratch(dir string) (zfsRoot string, remove func() error, err error) {
	return "", func() error { return nil }, nil
}
