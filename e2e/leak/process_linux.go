package leak

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// process returns what this process has and what is mounted below dir, a line each.
func process(dir string) []string {
	all := append(descriptors(), children()...)
	all = append(all, threads()...)
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return append(all, err.Error())
	}
	for _, m := range mounts {
		all = append(all, "mount "+m.Mountpoint)
	}
	return all
}

// descriptors returns the open descriptors by what they are open on. It leaves out the Go
// runtime's, which are opened when first needed and never closed, and the one mount namespace
// that package linux has for all its jails.
func descriptors() (all []string) {
	kept := false
	found, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range found {
		on, err := os.Readlink(fd)
		switch {
		case err != nil, on == "anon_inode:[eventpoll]", on == "anon_inode:[eventfd]":
		case strings.HasPrefix(on, "/proc/"): // this one
		case strings.HasPrefix(on, "mnt:") && !kept:
			kept = true
		case on == "/sys/fs/cgroup": // package cgroups opens it once, for good
		default:
			all = append(all, fmt.Sprintf("descriptor %s on %s", filepath.Base(fd), on))
		}
	}
	return all
}

// children returns the child processes that were not waited for.
func children() (all []string) {
	found, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range found {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// The name, field 2, may hold anything; state and parent follow (proc(5)).
		_, rest, _ := strings.Cut(string(data), " ")
		end := strings.LastIndexByte(rest, ')') + 1
		fields := strings.Fields(rest[end:])
		if len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) {
			all = append(all, fmt.Sprintf("child process %s %s", filepath.Base(filepath.Dir(stat)), rest[:end]))
		}
	}
	return all
}

// threads returns the threads that are in other namespaces than the process.
func threads() (all []string) {
	for _, kind := range []string{"net", "mnt"} {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return append(all, err.Error())
		}
		found, _ := filepath.Glob("/proc/self/task/*/ns/" + kind)
		for _, ns := range found {
			if its, err := os.Readlink(ns); err == nil && its != own {
				all = append(all, "thread in namespace "+its)
			}
		}
	}
	return all
}
