package zstream

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Header types, drr_headertype_t (OpenZFS include/sys/zfs_ioctl.h): one dataset at one
// snapshot, and a package of them.
const (
	substream = 1
	compound  = 2
)

// Types of datasets, dmu_objset_type_t (dmu.h).
const (
	osZFS  = 2
	osZVOL = 3
)

// beginRecord is a decoded BEGIN record.
type beginRecord struct {
	headerType int // substream or compound
	features   uint64
	flags      uint32
	order      byteOrder
	dataset    string // full name on the sending host
	Dataset
}

// parseBegin decodes a BEGIN record and refuses unsupported streams. Offsets in struct
// drr_begin: magic 0, versioninfo 8, creation_time 16, type 24, flags 28, toguid 32,
// fromguid 40, toname 48.
func parseBegin(rec *record) (beginRecord, error) {
	if m := rec.u64(0); m != magic {
		return beginRecord{}, fmt.Errorf("bad magic number %#x", m)
	}
	// drr_versioninfo: 2 bits of header type, 56 of features, 6 unused.
	info := rec.u64(8)
	b := beginRecord{headerType: int(info & 3), features: info >> 2, flags: rec.u32(28), order: rec.order}
	if b.headerType != substream && b.headerType != compound {
		return b, fmt.Errorf("no such type of header: %d", b.headerType)
	}
	if err := checkFeatures(b.features); err != nil {
		return b, err
	}
	name, _, ended := bytes.Cut(rec.body[48:304], []byte{0}) // drr_toname
	// A receiver reads on to the next NUL (lib/libzfs/libzfs_sendrecv.c, zfs_receive_one).
	if !ended {
		return b, fmt.Errorf("a name without an end: %.40q", name)
	}
	dataset, snapshot, ok := strings.Cut(string(name), "@")
	if !ok || dataset == "" || snapshot == "" || strings.ContainsAny(snapshot, "@/") {
		return b, fmt.Errorf("no name of a snapshot: %q", name)
	}
	b.dataset = dataset
	b.Dataset = Dataset{Snapshot: snapshot, GUID: rec.u64(32), Created: time.Unix(int64(rec.u64(16)), 0).UTC()}
	b.Snapshots = []Snapshot{{Name: snapshot, GUID: b.GUID, Created: b.Created}}
	if b.headerType == compound {
		return b, nil
	}
	b.FromGUID = rec.u64(40)
	switch t := rec.u32(24); {
	case t == osZVOL:
		return b, fmt.Errorf("%s is a volume: only file systems are supported", dataset)
	case t != osZFS:
		return b, fmt.Errorf("%s is a dataset of type %d: only file systems are supported", dataset, t)
	case len(rec.payload) != 0:
		return b, errors.New("resumed, redacted and raw streams are not supported")
	case b.FromGUID == b.GUID:
		return b, fmt.Errorf("%s@%s is incremental from itself", dataset, snapshot)
	}
	return b, nil
}

// relativeName returns the name of dataset relative to top: "" for top itself. The
// result is safe as a relative path: no component is empty, "." or "..".
func relativeName(top, dataset string) (string, error) {
	if dataset == top {
		return "", nil
	}
	name, ok := strings.CutPrefix(dataset, top+"/")
	if !ok {
		return "", fmt.Errorf("dataset %q is not below %q", dataset, top)
	}
	for part := range strings.SplitSeq(name, "/") {
		if err := checkName(part, maxName); err != nil {
			return "", fmt.Errorf("dataset %q: %w", dataset, err)
		}
	}
	return name, nil
}

// maxName is NAME_MAX of all systems, and ZFS's limit without its feature LONGNAME.
const maxName = 255

// checkName returns an error unless name can name a file and has at most the given
// number of bytes.
func checkName(name string, most int) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q is no name", name)
	case len(name) > most:
		return fmt.Errorf("a name of %d bytes is longer than %d", len(name), most)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("a name with / or NUL in it: %q", name)
	}
	return nil
}
