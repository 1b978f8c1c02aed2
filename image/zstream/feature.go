package zstream

import (
	"fmt"
	"slices"
	"strings"
)

// The supported stream features, DMU_BACKUP_FEATURE_* (OpenZFS include/sys/zfs_ioctl.h
// of 2.2 and 2.3). Most allow larger values: attributes beyond the dnode, blocks beyond
// 128 KiB, dnodes beyond 512 bytes, names beyond 255 bytes. HOLDS is not supported: a
// receiver puts the holds of such a stream on its own snapshots
// (lib/libzfs/libzfs_sendrecv.c, zfs_receive_one), and cannot destroy them then.
const (
	featureSASpill       = 1 << 2
	featureEmbedData     = 1 << 16
	featureLZ4           = 1 << 17
	featureLargeBlocks   = 1 << 19
	featureCompressed    = 1 << 22
	featureLargeDnode    = 1 << 23
	featureZstd          = 1 << 25
	featureSwitchToLarge = 1 << 27
	featureLongName      = 1 << 28
	featureLargeMicroZAP = 1 << 29

	supported = featureSASpill | featureEmbedData | featureLZ4 | featureLargeBlocks | featureCompressed |
		featureLargeDnode | featureZstd | featureSwitchToLarge | featureLongName | featureLargeMicroZAP
)

// featureNames are the names of all features by bit. Bits 3 to 15 belong to other
// systems.
var featureNames = map[uint]string{
	0: "DEDUP", 1: "DEDUPPROPS", 2: "SA_SPILL", 16: "EMBED_DATA", 17: "LZ4", 19: "LARGE_BLOCKS",
	20: "RESUMING", 21: "REDACTED", 22: "COMPRESSED", 23: "LARGE_DNODE", 24: "RAW", 25: "ZSTD",
	26: "HOLDS", 27: "SWITCH_TO_LARGE_BLOCKS", 28: "LONGNAME", 29: "LARGE_MICROZAP",
}

// namesOf returns the names of the features in set, sorted.
func namesOf(set uint64) []string {
	var names []string
	for bit := range uint(62) {
		if set&(1<<bit) == 0 {
			continue
		}
		name, known := featureNames[bit]
		if !known {
			name = fmt.Sprintf("unknown bit %d", bit)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// checkFeatures returns an error that names every unsupported feature in set.
func checkFeatures(set uint64) error {
	if set &^= supported; set == 0 {
		return nil
	}
	return fmt.Errorf("stream features that are not supported: %s", strings.Join(namesOf(set), ", "))
}
