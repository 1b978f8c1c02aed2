package zstream

import "strings"

// Flags are a file's flags as z_pflags holds them (OpenZFS include/sys/zfs_znode.h).
type Flags uint64

// The flags that the package uses.
const (
	flagXattr  = 0x1 // ZFS_XATTR: an extended attribute, or a directory of them
	aclTrivial = 0x4 // ZFS_ACL_TRIVIAL: the list is equivalent to the mode
	// fileFlags are the flags that chflags(1) sets, except archive, which ZFS sets on
	// every file: readonly, hidden, system, immutable, nounlink, appendonly, nodump,
	// opaque, reparse, offline, sparse.
	fileFlags = 0x39f7 << 32
)

// fileFlag is a flag with its name in chflags(1) and its bit in st_flags (FreeBSD
// sys/sys/stat.h), mapped as by zfs_freebsd_getattr.
type fileFlag struct {
	bit  Flags
	stat uint32
	name string
}

// flagTable is in the order in which String prints flags.
var flagTable = []fileFlag{
	{1 << 38, 0x40000, "sappnd"},  // ZFS_APPENDONLY, SF_APPEND
	{1 << 36, 0x20000, "schg"},    // ZFS_IMMUTABLE, SF_IMMUTABLE
	{1 << 37, 0x100000, "sunlnk"}, // ZFS_NOUNLINK, SF_NOUNLINK
	{1 << 35, 0x800, "uarch"},     // ZFS_ARCHIVE, UF_ARCHIVE
	{1 << 33, 0x8000, "uhidden"},  // ZFS_HIDDEN, UF_HIDDEN
	{1 << 44, 0x200, "uoffline"},  // ZFS_OFFLINE, UF_OFFLINE
	{1 << 32, 0x1000, "urdonly"},  // ZFS_READONLY, UF_READONLY
	{1 << 43, 0x400, "ureparse"},  // ZFS_REPARSE, UF_REPARSE
	{1 << 45, 0x100, "usparse"},   // ZFS_SPARSE, UF_SPARSE
	{1 << 34, 0x80, "usystem"},    // ZFS_SYSTEM, UF_SYSTEM
	{1 << 39, 0x1, "nodump"},      // ZFS_NODUMP, UF_NODUMP
	{1 << 40, 0x8, "opaque"},      // ZFS_OPAQUE, UF_OPAQUE
}

// Stat returns the flags as FreeBSD's st_flags.
func (f Flags) Stat() (flags uint32) {
	for _, known := range flagTable {
		if f&known.bit != 0 {
			flags |= known.stat
		}
	}
	return flags
}

// String formats the flags as `ls -lo` does: names of chflags(1) separated by commas, or
// a dash.
func (f Flags) String() string {
	var names []string
	for _, known := range flagTable {
		if f&known.bit != 0 {
			names = append(names, known.name)
		}
	}
	if names == nil {
		return "-"
	}
	return strings.Join(names, ",")
}
