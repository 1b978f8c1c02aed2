package supervise

import (
	"fmt"
	"os"
	"strconv"
)

// sysCloseRange is close_range(2), Linux 5.9, on every architecture
// (asm-generic/unistd.h).
const sysCloseRange = 436

// ownDescriptors lists this process's descriptors (proc(5)).
const ownDescriptors = "/proc/self/fd"

// openDescriptors returns the open descriptors of this process, without the one that it
// uses to list them.
func openDescriptors() ([]int, error) {
	dir, err := os.Open(ownDescriptors)
	if err != nil {
		return nil, fmt.Errorf("list descriptors: %w", err)
	}
	own := int(dir.Fd())
	names, err := dir.Readdirnames(-1)
	dir.Close()
	if err != nil {
		return nil, fmt.Errorf("list descriptors: %w", err)
	}
	var all []int
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd != own {
			all = append(all, fd)
		}
	}
	return all, nil
}

// descriptorPath returns the path that fd is open on.
func descriptorPath(fd int) string {
	path, err := os.Readlink(ownDescriptors + "/" + strconv.Itoa(fd))
	if err != nil {
		return "unknown path"
	}
	return path
}
