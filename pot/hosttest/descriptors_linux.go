package hosttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Descriptors returns the open descriptors of a process (proc(5)).
func Descriptors(pid int) (map[int]Descriptor, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[int]Descriptor{}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		at := filepath.Join(dir, e.Name())
		name, err := os.Readlink(at)
		if err != nil {
			continue // closed meanwhile
		}
		info, err := os.Stat(at)
		all[fd] = Descriptor{
			Directory: err == nil && info.IsDir(), Socket: strings.HasPrefix(name, "socket:"),
			Poller: name == "anon_inode:[eventpoll]" || name == "anon_inode:[eventfd]", Name: name,
		}
	}
	return all, nil
}
