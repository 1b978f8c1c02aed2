package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// shellTool is the path where pot's port installs the shell tool (sysutils/pot, pkg-plist).
const shellTool = "/usr/local"

// hasShellTool reports whether the shell tool is installed: /usr/local/bin/pot may be
// this program too.
func hasShellTool() bool {
	text, err := os.ReadFile(shellTool + "/bin/pot")
	_, missing := os.Stat(shellTool + "/share/pot/common.sh")
	return err == nil && missing == nil && bytes.HasPrefix(text, []byte("#!/bin/sh"))
}

// copyShellTool copies the shell tool to a prefix of its own in s.work, where it finds
// s's configuration: it looks beside its own path (bin/pot, _POT_PREFIX), as potnet does
// beside the pot of PATH. It returns a program that runs it.
func (s *scratch) copyShellTool() (program string, err error) {
	prefix := filepath.Join(s.work, "prefix")
	for _, dir := range []string{"bin", "share", "etc/pot/flavours"} {
		if err := os.MkdirAll(filepath.Join(prefix, dir), 0o755); err != nil {
			return "", err
		}
	}
	config, err := os.ReadFile(s.config)
	if err != nil {
		return "", err
	}
	defaults, err := os.ReadFile(shellTool + "/etc/pot/pot.default.conf")
	if err != nil {
		return "", err
	}
	tool, err := os.ReadFile(shellTool + "/bin/pot")
	if err != nil {
		return "", err
	}
	program = filepath.Join(prefix, "shellpot")
	wrapper := fmt.Sprintf("#!/bin/sh\nPATH=%s/bin:$PATH:/usr/local/bin; export PATH\nexec %[1]s/bin/pot \"$@\"\n", prefix)
	err = errors.Join(
		os.WriteFile(filepath.Join(prefix, "bin/pot"), tool, 0o755),
		os.CopyFS(filepath.Join(prefix, "share/pot"), os.DirFS(shellTool+"/share/pot")),
		os.WriteFile(filepath.Join(prefix, "etc/pot/pot.default.conf"), defaults, 0o644),
		os.WriteFile(filepath.Join(prefix, "etc/pot/pot.conf"), config, 0o644),
		os.WriteFile(program, []byte(wrapper), 0o755),
	)
	if errors.Is(err, fs.ErrExist) {
		err = nil // it was copied before
	}
	return program, err
}
