package freebsd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/pot"
)

// statusFiles are the files from which the shell tool reads a pot's state: without one it
// neither stops a pot nor destroys a running one. Nothing else reads them, so a file that
// cannot be written is ignored. (share/pot/set-status.sh)
type statusFiles struct {
	dir string // POT_TMP; "" for no files
}

func (s statusFiles) path(name pot.Name) string {
	return filepath.Join(s.dir, "pot_status_"+string(name))
}

// started writes that a pot runs, and which interfaces the shell tool must destroy with it.
// Any user may write in the directory: the file gets its name when it is complete, and
// replaces another of that name.
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

// forget removes a pot's file.
func (s statusFiles) forget(name pot.Name) {
	if s.dir != "" {
		os.Remove(s.path(name))
	}
}
