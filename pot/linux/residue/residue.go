//go:build linux

// Package residue looks for what pots could leave behind on a Linux machine. It
// knows the machine, not the driver: what it finds, any operator could.
package residue

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
)

// State is what the machine holds, in words, by kind.
type State map[string][]string

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

// Since is what s has and before has not, a line each, sorted.
func (s State) Since(before State) []string {
	var all []string
	for kind, now := range s {
		for _, what := range now {
			if !slices.Contains(before[kind], what) {
				all = append(all, kind+" "+what)
			}
		}
	}
	slices.Sort(all)
	return all
}

// processes are the supervisors, and all that does not run in the PID
// namespace that this process is in.
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
		if name := strings.TrimSpace(string(comm)); ns != own || name == "pot-supervisor" {
			all = append(all, e.Name()+" "+name)
		}
	}
	return all, nil
}

// kept is what stays on purpose: images and their cache, the directories of the
// layout, and which address was given out last.
func kept(rel string, images []string) bool {
	for _, i := range images {
		if rel == "labels/"+i || rel == "jails/"+i || strings.HasPrefix(rel, "jails/"+i+"/") {
			return true
		}
	}
	switch rel {
	case ".", "addresses/last", "host/jails":
		return true
	}
	top, _, deep := strings.Cut(rel, "/")
	return !deep || top == "cache"
}

func files(dir string, images []string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if !kept(rel, images) {
			all = append(all, rel)
		}
		return nil
	})
	return all, err
}
