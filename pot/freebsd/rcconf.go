package freebsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// assignments of files such as rc.conf(5) and loader.conf(5) are lines of
// key="value", of which the last counts.

// readSetting returns the value of key in text, and false if it is not set there.
func readSetting(text, key string) (value string, ok bool) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(strings.TrimSpace(line), key+"="); found {
			value, ok = settingValue(rest), true
		}
	}
	return value, ok
}

// settingValue returns the value of a line, from the text behind its =.
func settingValue(rest string) string {
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		value, _, _ := strings.Cut(rest[1:], rest[:1])
		return value
	}
	value, _, _ := strings.Cut(rest, " ")
	value, _, _ = strings.Cut(value, "#")
	return strings.TrimSpace(value)
}

// writeSetting returns text with key set to value: where it was set last, or at the end.
func writeSetting(text, key, value string) string {
	line := fmt.Sprintf("%s=%q", key, value)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(strings.TrimSpace(lines[i]), key+"=") {
			lines[i] = line
			return strings.Join(lines, "\n") + "\n"
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + line + "\n"
}

// maxConfFile bounds the files that are changed, in bytes.
const maxConfFile = 4 << 20

// readConfFile returns the text of a file of the host; a missing file is empty. A
// link to a missing file is an error: the operator meant some file.
func readConfFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if to, err := os.Readlink(path); err == nil {
			return "", fmt.Errorf("%s: this is a link to %s, which does not exist", path, to)
		}
		return "", nil
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxConfFile:
		return "", fmt.Errorf("%s: not a regular file of at most %d bytes", path, maxConfFile)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// writeConfFile replaces a file of the host, or the file that a link leads to,
// atomically. Mode and owner stay. The first time, the file as it was is kept in
// FILE.before-pot.
func writeConfFile(path, text string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode, uid, gid := fs.FileMode(0o644), -1, -1 // -1: chown(2) leaves it
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(owner.Uid), int(owner.Gid)
		}
		if err := os.Link(path, path+".before-pot"); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer f.Cleanup() // nothing, once it has its name
	if _, err = f.WriteString(text); err == nil {
		err = f.Chown(uid, gid)
	}
	if err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
