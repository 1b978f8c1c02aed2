package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
)

// Look takes down what there is: mounts, network interfaces, network
// namespaces, control groups, processes of pots, and the files below dir, the
// state directory of a host, but for the images named.
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

// processes are the supervisors, and all that does not run in the PID
// namespace that this process is in. An orphan that has ended is not one of them:
// it is for process 1 to wait for, and some of those take their time.
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

// Scratch is where pots can be kept, with dir for its files: nothing is needed.
func Scratch(dir string) (zfsRoot string, remove func() error, err error) {
	return "", func() error { return nil }, nil
}
