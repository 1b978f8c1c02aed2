package zstream

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Header types, drr_headertype_t (OpenZFS include/sys/zfs_ioctl.h).
const (
	substream = 1
	compound  = 2
)

// features are DMU_BACKUP_FEATURE_* (zfs_ioctl.h), by bit.
var features = map[uint]string{
	0: "DEDUP", 1: "DEDUPPROPS", 2: "SA_SPILL", 16: "EMBED_DATA", 17: "LZ4", 19: "LARGE_BLOCKS",
	20: "RESUMING", 21: "REDACTED", 22: "COMPRESSED", 23: "LARGE_DNODE", 24: "RAW", 25: "ZSTD",
	26: "HOLDS", 27: "SWITCH_TO_LARGE_BLOCKS", 28: "LONGNAME", 29: "LARGE_MICROZAP",
}

// The features that are read. Each only allows larger sizes: attributes beyond
// the dnode, blocks beyond 128 KiB, dnodes beyond 512 bytes.
const (
	saSpill     = 1 << 2
	largeBlocks = 1 << 19
	largeDnode  = 1 << 23
)

// Types of datasets, dmu_objset_type_t (dmu.h).
const (
	osZFS  = 2
	osZVOL = 3
)

// beginning is what a BEGIN record says.
type beginning struct {
	header   int // substream or compound
	features uint64
	dataset  string // its whole name, where the stream was made
	Dataset
}

// parseBegin reads a BEGIN record, and refuses what cannot be read. Of struct
// drr_begin: magic at 0, versioninfo 8, creation_time 16, type 24, flags 28,
// toguid 32, fromguid 40, toname 48. The flags say what a receiver of increments
// has to know; a full stream is the same with any of them.
func parseBegin(rec *record) (beginning, error) {
	if m := rec.u64(0); m != magic {
		return beginning{}, fmt.Errorf("bad magic number %#x", m)
	}
	// drr_versioninfo: 2 bits of header type, 56 of features, 6 to come.
	info := rec.u64(8)
	b := beginning{header: int(info & 3), features: info >> 2}
	if b.header != substream && b.header != compound {
		return b, fmt.Errorf("no such type of header: %d", b.header)
	}
	if err := checkFeatures(b.features); err != nil {
		return b, err
	}
	name, _, _ := bytes.Cut(rec.body[48:304], []byte{0}) // drr_toname
	dataset, snapshot, ok := strings.Cut(string(name), "@")
	if !ok || dataset == "" || snapshot == "" || strings.ContainsAny(snapshot, "@/") {
		return b, fmt.Errorf("no name of a snapshot: %q", name)
	}
	b.dataset = dataset
	b.Dataset = Dataset{Snapshot: snapshot, GUID: rec.u64(32), Created: time.Unix(int64(rec.u64(16)), 0).UTC()}
	if b.header == compound {
		return b, nil
	}
	switch t := rec.u32(24); {
	case t == osZVOL:
		return b, fmt.Errorf("%s is a volume: only file systems are supported", dataset)
	case t != osZFS:
		return b, fmt.Errorf("%s is a dataset of type %d: only file systems are supported", dataset, t)
	case rec.u64(40) != 0: // drr_fromguid
		return b, fmt.Errorf("%s@%s is incremental, from snapshot %#x: not supported yet", dataset, snapshot, rec.u64(40))
	case len(rec.payload) != 0:
		return b, errors.New("resumed and redacted streams are not supported yet")
	}
	return b, nil
}

// checkFeatures refuses what is not among those that are read, all by name.
func checkFeatures(set uint64) error {
	var names []string
	for bit := range uint(62) {
		if set&^(saSpill|largeBlocks|largeDnode)&(1<<bit) == 0 {
			continue
		}
		name, known := features[bit]
		if !known {
			name = fmt.Sprintf("unknown bit %d", bit)
		}
		names = append(names, name)
	}
	if names == nil {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("stream features that are not supported yet: %s", strings.Join(names, ", "))
}

// below is the name of dataset under top: "" for top itself.
func below(top, dataset string) (string, error) {
	if dataset == top {
		return "", nil
	}
	name, ok := strings.CutPrefix(dataset, top+"/")
	if !ok {
		return "", fmt.Errorf("dataset %q is not below %q", dataset, top)
	}
	for part := range strings.SplitSeq(name, "/") {
		if err := checkName(part); err != nil {
			return "", fmt.Errorf("dataset %q: %w", dataset, err)
		}
	}
	return name, nil
}

// maxName is NAME_MAX, which ZFS has too without its feature LONGNAME.
const maxName = 255

// checkName refuses what is no name of one file.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q is no name", name)
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes is longer than %d", len(name), maxName)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("a name with / or NUL in it: %q", name)
	}
	return nil
}
