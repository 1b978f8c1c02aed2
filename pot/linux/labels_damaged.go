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

// labelXattr is a copy of a dataset's labels, on its directory: a crash may leave their
// file empty, or cut. A pot cannot reach it. A file system that has no extended attributes
// has no copy.
const labelXattr = "trusted.nomad.pot.labels"

// maxLabels bounds the copy, in bytes: what Linux allows at most (linux/limits.h).
const maxLabels = 64 << 10

func (d datasets) copyLabels(name string, data []byte) {
	unix.Lsetxattr(d.path(name), labelXattr, data, 0)
}

// errDamaged is a label file that cannot be read, and of which there is no copy.
var errDamaged = fmt.Errorf("the file is damaged: %w", fs.ErrInvalid)

// healLabels rebuilds a label file that is damaged: by the copy or, but for the labels
// themselves, by what is mounted. Labels that nothing has are none.
func (d datasets) healLabels(name string) (f labelFile, err error) {
	if _, err := os.Lstat(d.path(name)); errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	data := make([]byte, maxLabels)
	n, err := unix.Lgetxattr(d.path(name), labelXattr, data)
	if err == nil && json.Unmarshal(data[:n], &f) == nil {
		_ = replaceFile(d.label(name), data[:n]) // on a full disk the copy will do
		return f, nil
	}
	f = labelFile{}
	if _, err := os.Lstat(d.layer(name)); err == nil {
		f.Origin = d.mountedOrigin(name)
	}
	return f, fmt.Errorf("labels of %s: %w", name, errDamaged)
}

// unknownOrigin is the origin of a clone that is not mounted: it depends on nothing.
const unknownOrigin = "?"

// mountedOrigin is what a clone's overlay is mounted on.
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
