package freebsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// assignments of files such as rc.conf(5) and loader.conf(5) are lines of
// key="value", of which the last counts.

// readSetting is the value of key in text; false if it is not set there.
func readSetting(text, key string) (value string, ok bool) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(strings.TrimSpace(line), key+"="); found {
			value, ok = settingValue(rest), true
		}
	}
	return value, ok
}

// settingValue is what is behind the = of a line.
func settingValue(rest string) string {
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		value, _, _ := strings.Cut(rest[1:], rest[:1])
		return value
	}
	value, _, _ := strings.Cut(rest, " ")
	value, _, _ = strings.Cut(value, "#")
	return strings.TrimSpace(value)
}

// writeSetting is text with key set to value: where it was set last, or at the end.
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

// maxConfFile bounds the files that are changed.
const maxConfFile = 4 << 20

// readConfFile is a file of the host's; one that is not there is empty.
func readConfFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxConfFile:
		return "", fmt.Errorf("%s: is no file that could be changed", path)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// writeConfFile replaces a file of the host's, whole or not at all, and keeps what
// it was beside it, in FILE.before-pot, the first time.
func writeConfFile(path, text string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		if err := os.Link(path, path+".before-pot"); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := os.WriteFile(path+".new", []byte(text), mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
