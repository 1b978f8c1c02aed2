package machine

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// UnmountBelow unmounts everything below dir by force, the newest mount first. It is for
// the end of a test run that failed: a mount that is left would let a removal of dir reach
// the host's files.
func UnmountBelow(dir string) error {
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	table := make([]unix.Statfs_t, n+8)
	if n, err = unix.Getfsstat(table, unix.MNT_NOWAIT); err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var errs []error
	for i := n - 1; i >= 0; i-- {
		on := unix.ByteSliceToString(table[i].Mntonname[:])
		if !strings.HasPrefix(on, dir+"/") {
			continue
		}
		if err := unix.Unmount(on, unix.MNT_FORCE); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", on, err))
		}
	}
	return errors.Join(errs...)
}
