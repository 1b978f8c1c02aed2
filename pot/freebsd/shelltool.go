package freebsd

import (
	"io"
	"os"
	"strings"
	"syscall"
)

// shellTool is where the package sysutils/pot has pot.
const shellTool = "/usr/local/bin/pot"

// maxShellTool is how much of it is looked through, in bytes: it has its version among
// its first lines.
const maxShellTool = 16 << 10

// shellToolVersion is the version of the shell tool at path, "" if there is none that can
// be read: the link of this program that stands there in its place is not it.
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
