package zstream

import "syscall"

// ufArchive is UF_ARCHIVE (sys/stat.h), which ZFS sets on whatever changes.
const ufArchive = 0x800

// hasFlags tells of flags of chflags(1).
func hasFlags(st *syscall.Stat_t) bool { return st.Flags&^ufArchive != 0 }
