package freebsd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/pot"
)

// statusFiles are the files by which the shell tool knows in what state a pot is:
// without one it neither stops a pot nor destroys one that runs. It is their one
// reader, and a pot does not depend on it: where one cannot be written, there is
// none. (share/pot/set-status.sh)
type statusFiles struct {
	dir string // POT_TMP; "" for no files
}

func (s statusFiles) path(name pot.Name) string {
	return filepath.Join(s.dir, "pot_status_"+string(name))
}

// started says that a pot runs, and which interfaces are to go with it. All may
// write in the directory: the file takes its name when it is whole, in the place of
// whatever has it.
func (s statusFiles) started(name pot.Name, devices pairs) {
	if s.dir == "" {
		return
	}
	f, err := os.CreateTemp(s.dir, "pot_status.")
	if err != nil {
		return
	}
	var with []string
	for _, device := range []string{devices.v4, devices.v6} {
		if device != "" {
			with = append(with, device)
		}
	}
	_, err = fmt.Fprintf(f, "pot.status=started,%s\n", strings.Join(with, ":"))
	f.Close()
	if err == nil {
		err = os.Rename(f.Name(), s.path(name))
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// forget says nothing of a pot any more.
func (s statusFiles) forget(name pot.Name) {
	if s.dir != "" {
		os.Remove(s.path(name))
	}
}
