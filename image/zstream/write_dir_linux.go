package zstream

import "syscall"

// hasFlags tells of flags of chflags(1), which Linux has not.
func hasFlags(*syscall.Stat_t) bool { return false }
