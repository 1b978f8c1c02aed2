package pot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// ConfLines are a pot.conf to be changed: what nobody here knows stays as and where
// it is (pot-reference 2.1).
type ConfLines struct {
	lines []string
}

// ParseConfLines reads a pot.conf. A line that is no key=value is an error, as it
// is to ReadConf: it would be passed on to whoever reads the file next.
func ParseConfLines(data []byte) (*ConfLines, error) {
	if err := EachLine(bytes.NewReader(data), func(string, string) {}); err != nil {
		return nil, err
	}
	c := &ConfLines{}
	for line := range strings.Lines(string(data)) {
		c.lines = append(c.lines, strings.TrimSuffix(line, "\n"))
	}
	return c, nil
}

// Values are those of a key, in order, as they are written.
func (c *ConfLines) Values(key string) []string {
	var all []string
	for _, line := range c.lines {
		if k, value, _ := strings.Cut(line, "="); strings.TrimSpace(k) == key {
			all = append(all, value)
		}
	}
	return all
}

// Value is the last one of a key, which counts, without blanks around it and
// without the quotes that pot puts around names; "" if there is none.
func (c *ConfLines) Value(key string) string {
	all := c.Values(key)
	if len(all) == 0 {
		return ""
	}
	return strings.Trim(strings.TrimSpace(all[len(all)-1]), `"`)
}

// Set replaces all lines of a key by one for each value, where the first was, or at
// the end if there was none. Without values the key goes.
func (c *ConfLines) Set(key string, values ...string) error {
	var lines []string
	for _, v := range values {
		if err := oneConfLine(v); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		lines = append(lines, key+"="+v)
	}
	at := -1
	var kept []string
	for _, line := range c.lines {
		if k, _, _ := strings.Cut(line, "="); strings.TrimSpace(k) != key {
			kept = append(kept, line)
		} else if at < 0 {
			at = len(kept)
		}
	}
	if at < 0 {
		at = len(kept)
	}
	c.lines = append(kept[:at:at], append(lines, kept[at:]...)...)
	return nil
}

// Add puts one more line of a key behind all others.
func (c *ConfLines) Add(key, value string) error {
	return c.Set(key, append(c.Values(key), value)...)
}

// Bytes are the file.
func (c *ConfLines) Bytes() []byte {
	var b bytes.Buffer
	for _, line := range c.lines {
		b.WriteString(line + "\n")
	}
	return b.Bytes()
}

// oneConfLine keeps what is set from being a line more, or none.
func oneConfLine(value string) error {
	if strings.ContainsAny(value, "\n\r\x00") {
		return fmt.Errorf("must be one line, not %.80q", value)
	}
	if len(value) > maxConfValue {
		return fmt.Errorf("must be at most %d bytes, not %d", maxConfValue, len(value))
	}
	return nil
}

// maxConfValue is what a line of a pot.conf may hold; the file may hold maxConf.
const maxConfValue = 64 << 10

// Files of a pot's conf directory.
const (
	confDir    = "conf"
	potConf    = confDir + "/pot.conf"
	fscompConf = confDir + "/fscomp.conf"
)

// editFile has edit change the file at name in the dataset at dir, for which nobody
// else changes any file of its conf meanwhile. It is replaced whole, or not at all;
// one that is not there is empty, if it may be.
func editFile(dir, name string, optional bool, edit func([]byte) ([]byte, error)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lockConf(root)
	if err != nil {
		return err
	}
	defer unlock()
	before, err := readConfFile(root, name)
	if err != nil && !(optional && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	after, err := edit(before)
	if err != nil {
		return err
	}
	if len(after) > maxConf {
		return fmt.Errorf("%s: would be more than %d bytes", name, maxConf)
	}
	if err := replace(root, name+".new", after); err != nil {
		return err
	}
	return root.Rename(name+".new", name)
}

// lockConf keeps all others from changing what is in conf, by a lock on the
// directory itself (flock(2)): a file for it would go into images.
func lockConf(root *os.Root) (unlock func(), err error) {
	d, err := root.Open(confDir)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		d.Close()
		return nil, os.NewSyscallError("flock "+confDir, err)
	}
	return func() { d.Close() }, nil
}

// readConfFile reads a file of at most maxConf bytes, which may have been
// anybody's.
func readConfFile(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is no file", name)
	case info.Size() > maxConf:
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxConf)
	}
	return root.ReadFile(name)
}
