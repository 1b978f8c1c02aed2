//go:build linux

package linux

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// labelXattr is an extended attribute of a dataset's directory with a copy of its labels: a
// crash may leave their file empty or cut off. A pot cannot reach it. On a file system
// without extended attributes there is no copy.
const labelXattr = "trusted.nomad.pot.labels"

// maxLabels bounds the copy, in bytes: Linux's maximum (linux/limits.h).
const maxLabels = 64 << 10

func (d datasets) copyLabels(name string, data []byte) {
	unix.Lsetxattr(d.path(name), labelXattr, data, 0)
}

// errDamaged means that a label file cannot be read and has no copy.
var errDamaged = fmt.Errorf("the file is damaged: %w", fs.ErrInvalid)

// healLabels restores a damaged label file from its copy. Without a copy it returns
// errDamaged, with the origin as far as the mount table has it.
func (d datasets) healLabels(name string) (f labelFile, err error) {
	if _, err := os.Lstat(d.path(name)); errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	data := make([]byte, maxLabels)
	n, err := unix.Lgetxattr(d.path(name), labelXattr, data)
	if err == nil && json.Unmarshal(data[:n], &f) == nil {
		_ = replaceFile(d.label(name), data[:n]) // on a full disk the copy is enough
		return f, nil
	}
	f = labelFile{}
	if _, err := os.Lstat(d.layer(name)); err == nil {
		f.Origin = d.mountedOrigin(name)
	}
	return f, fmt.Errorf("labels of %s: %w", name, errDamaged)
}

// unknownOrigin is the origin of a clone that is not mounted; no image has that name.
const unknownOrigin = "?"

// mountedOrigin returns the origin of a clone from the options of its overlay mount.
func (d datasets) mountedOrigin(name string) string {
	at, err := filepath.EvalSymlinks(filepath.Join(d.path(name), "m"))
	if err != nil {
		return unknownOrigin
	}
	found, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(at))
	if err != nil || len(found) == 0 {
		return unknownOrigin
	}
	for o := range strings.SplitSeq(found[0].VFSOptions, ",") {
		if lower, ok := strings.CutPrefix(o, "lowerdir="); ok {
			return filepath.Base(filepath.Dir(lower))
		}
	}
	return unknownOrigin
}
