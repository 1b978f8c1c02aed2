//go:build !linux

package hosttest

import (
	"os/exec"
	"strconv"
	"strings"
)

// Descriptors returns the open descriptors of a process. procstat(1) prints PID, COMM, FD,
// T, V, FLAGS, REF, OFFSET, PRO and NAME: a header, the process's directories and program,
// and the descriptors.
func Descriptors(pid int) (map[int]Descriptor, error) {
	out, err := exec.Command("procstat", "-f", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil, err
	}
	all := map[int]Descriptor{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		fd, err := strconv.Atoi(fields[2])
		if err != nil {
			continue // the header; text, cwd, root, jail, ctty
		}
		d := Descriptor{Directory: fields[4] == "d", Socket: fields[3] == "s", Poller: fields[3] == "k"}
		if len(fields) > 9 {
			d.Name = fields[len(fields)-1]
		}
		all[fd] = d
	}
	return all, nil
}
