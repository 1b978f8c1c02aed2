package conf

import (
	"fmt"
	"path"
	"strings"
)

// FSMount is a line of a pot's fscomp.conf (pot-reference 2.3).
type FSMount struct {
	Source string // a directory of the host, absolute, or a dataset
	Target string // in the pot, absolute
	Option string // "", "ro", "zfs-remount", or of mount_nullfs(8)
}

// Options of mounts.
const (
	ReadOnly  = "ro"
	Remounted = "zfs-remount"
)

// ParseFSMounts reads a fscomp.conf. Targets may be those of pots older than 0.15.6,
// with the host's path of the pot's tree before them; empty lines say nothing.
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

// Relative is the target below tree, as pots older than 0.15.6 wrote it, seen from
// within the pot.
func (m FSMount) Relative(tree string) FSMount {
	if rest, ok := strings.CutPrefix(m.Target, tree); ok && (rest == "" || rest[0] == '/') {
		m.Target = path.Clean("/" + rest)
	}
	return m
}

// FormatFSMounts is the file, in today's form.
func FormatFSMounts(all []FSMount) []byte {
	var b strings.Builder
	for _, m := range all {
		b.WriteString(strings.TrimRight(m.Source+" "+m.Target+" "+m.Option, " ") + "\n")
	}
	return []byte(b.String())
}
