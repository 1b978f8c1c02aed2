package conf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Lines is a pot.conf that can be changed. Lines with unknown keys keep their text and place:
// later versions of pot may know them. A Lines is not safe for concurrent use.
type Lines struct {
	lines []string
}

// ParseLines parses a pot.conf. Like Read, it returns an error for a line that is not
// key=value: such a line would be written back.
func ParseLines(data []byte) (*Lines, error) {
	if err := Each(bytes.NewReader(data), func(string, string) {}); err != nil {
		return nil, err
	}
	c := &Lines{}
	for line := range strings.Lines(string(data)) {
		c.lines = append(c.lines, strings.TrimSuffix(line, "\n"))
	}
	return c, nil
}

// Values returns the values of a key, in order, as they are written.
func (c *Lines) Values(key string) []string {
	var all []string
	for _, line := range c.lines {
		if k, value, _ := strings.Cut(line, "="); strings.TrimSpace(k) == key {
			all = append(all, value)
		}
	}
	return all
}

// Value returns the last value of a key, the one that counts, without blanks around it and
// without the quotes that pot puts around names. It returns "" if there is none.
func (c *Lines) Value(key string) string {
	all := c.Values(key)
	if len(all) == 0 {
		return ""
	}
	return strings.Trim(strings.TrimSpace(all[len(all)-1]), `"`)
}

// Attribute returns the value of an attribute for a pot with this pot.conf, in the form of
// ParseAttribute. It returns a new pot's value if the attribute is not set or not valid.
func (c *Lines) Attribute(name string) string {
	if value, err := parseWritten(name, c.RawAttribute(name)); err == nil && value != "" {
		return value
	}
	return NewPotAttribute(name)
}

// RawAttribute returns an attribute as it is written, without the blanks around it; "" if it is
// not set.
func (c *Lines) RawAttribute(name string) string {
	all := c.Values("pot.attr." + name)
	if len(all) == 0 {
		return ""
	}
	return strings.TrimSpace(all[len(all)-1])
}

// Set replaces all lines of a key by one for each value, where the first was, or at the end if
// there was none. Without values it removes the key. It returns an error, and changes nothing,
// if a value would not be exactly one line: it could add another key.
func (c *Lines) Set(key string, values ...string) error {
	var lines []string
	for _, v := range values {
		if err := CheckLine(v); err != nil {
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

// Add adds a line with key, after the key's other lines.
func (c *Lines) Add(key, value string) error {
	return c.Set(key, append(c.Values(key), value)...)
}

// Bytes returns the content of the file.
func (c *Lines) Bytes() []byte {
	var b bytes.Buffer
	for _, line := range c.lines {
		b.WriteString(line + "\n")
	}
	return b.Bytes()
}

// CheckLine returns an error for a value that would not be exactly one line of a pot.conf, or
// is longer than MaxLine.
func CheckLine(value string) error {
	if strings.ContainsAny(value, "\n\r\x00") {
		return fmt.Errorf("must be one line, not %.80q", value)
	}
	if len(value) > MaxLine {
		return fmt.Errorf("must be at most %d bytes, not %d", MaxLine, len(value))
	}
	return nil
}

// MaxLine bounds a value in a pot.conf, in bytes.
const MaxLine = 64 << 10

// The directory of a pot's configuration in its dataset, and files in it.
const (
	Dir        = "conf"
	PotConf    = Dir + "/pot.conf"
	FSCompConf = Dir + "/fscomp.conf"
)

// ReadFile reads a regular file of at most MaxBytes bytes. The file is untrusted: it may be a
// fifo or a link.
func ReadFile(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file", name)
	case info.Size() > MaxBytes:
		return nil, fmt.Errorf("%s: must be at most %d bytes", name, MaxBytes)
	}
	return root.ReadFile(name)
}
