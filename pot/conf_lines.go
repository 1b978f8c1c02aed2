package pot

import (
	"bytes"
	"fmt"
	"os"
	"strings"
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
