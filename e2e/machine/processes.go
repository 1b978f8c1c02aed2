package machine

import (
	"strings"

	"github.com/shirou/gopsutil/v3/process"
)

// Process is a process on the machine, in a pot or not.
type Process struct {
	PID  int
	Path string // of its program, as the host sees it; "" if that is not known
	Argv []string
}

// Processes returns all processes. A process that ends meanwhile may be left out.
func Processes() ([]Process, error) {
	all, err := process.Processes()
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, p := range all {
		argv, err := p.CmdlineSlice()
		if err != nil || len(argv) == 0 {
			continue // the kernel's own, or one that has ended
		}
		path, _ := p.Exe()
		found = append(found, Process{PID: int(p.Pid), Path: strings.TrimSuffix(path, " (deleted)"), Argv: argv})
	}
	return found, nil
}
