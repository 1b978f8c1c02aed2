package conf

import (
	"fmt"
	"path"
	"strings"
)

// FSMount is a line of a pot's fscomp.conf: a mount that pot makes at each start. There is no
// quoting: no field can contain a blank.
type FSMount struct {
	Source string // an absolute directory of the host, or a dataset
	Target string // in the pot, absolute
	Option string // "", "ro", "zfs-remount", or an option of mount_nullfs(8)
}

// Values of FSMount.Option. ReadOnly mounts with nullfs(5), read-only. Remounted sets a
// dataset's mount point to one in the pot while the pot runs.
const (
	ReadOnly  = "ro"
	Remounted = "zfs-remount"
)

// ParseFSMounts parses a fscomp.conf, in order. It ignores empty lines, and returns an error
// with the number of a line that is no mount. Targets that pot before 0.15.6 wrote begin with
// the path of the pot's tree on the host: see FSMount.Relative.
func ParseFSMounts(data []byte) ([]FSMount, error) {
	var all []FSMount
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) == 1 || len(fields) > 3 || !path.IsAbs(fields[1]) {
			return nil, fmt.Errorf("fscomp.conf:%d: must be SOURCE MOUNTPOINT [OPTION], not %.80q", n, line)
		}
		m := FSMount{Source: fields[0], Target: path.Clean(fields[1])}
		if len(fields) == 3 {
			m.Option = fields[2]
		}
		all = append(all, m)
	}
	return all, nil
}

// Relative returns m with its target as a path in the pot: pot before 0.15.6 wrote the path on
// the host, below tree.
func (m FSMount) Relative(tree string) FSMount {
	if rest, ok := strings.CutPrefix(m.Target, tree); ok && (rest == "" || rest[0] == '/') {
		m.Target = path.Clean("/" + rest)
	}
	return m
}

// FormatFSMounts returns the text of a fscomp.conf, in the form that pot has written since 0.15.6.
func FormatFSMounts(all []FSMount) []byte {
	var b strings.Builder
	for _, m := range all {
		b.WriteString(strings.TrimRight(m.Source+" "+m.Target+" "+m.Option, " ") + "\n")
	}
	return []byte(b.String())
}
