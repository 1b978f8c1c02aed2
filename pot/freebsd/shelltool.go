package freebsd

import (
	"io"
	"os"
	"strings"
	"syscall"
)

// shellTool is the path of pot of the package sysutils/pot.
const shellTool = "/usr/local/bin/pot"

// maxShellTool bounds how much of it is read, in bytes: its version is in its first lines.
const maxShellTool = 16 << 10

// shellToolVersion returns the version of the shell tool at path, "" if it cannot be read or
// path is a link to this program.
func shellToolVersion(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxShellTool))
	if err != nil || !strings.HasPrefix(string(text), "#!") {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if version, ok := strings.CutPrefix(line, "_POT_VERSION="); ok {
			return strings.TrimSpace(version)
		}
	}
	return ""
}
