// Package conf is what an image says of its pot: pot.conf and fscomp.conf, the attributes of its
// jail, the ports it publishes, its hooks, and the labels of its dataset.
//
// It reads and writes text and knows the rules of each value. It starts nothing, and it knows
// neither hosts nor Nomad: package pot makes a pot by what is read here. Whatever is read
// is untrusted. Image is where a reader begins, New what is written of a new pot, Lines a
// pot.conf that is changed in place.
package conf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Image is a pot.conf(5), as far as a pot is made and shown by it: key=value
// lines, in any order (pot-reference 2.1). An image brings one: what is read
// is untrusted text.
type Image struct {
	Cmd        string       // pot.cmd: shell text
	Env        []string     // pot.env: NAME=value
	Addresses  []netip.Addr // ip: of its own; what is none is passed over
	Release    string       // osrelease
	Bridge     string       // bridge: the private one that it is for
	Attributes Attributes   // pot.attr.*; of one that is set twice the last

	// Invalid says what is wrong with attributes that no pot can have, and that no start
	// heeds: an image may have been made by other tools.
	Invalid []error
}

const MaxBytes = 1 << 20

// Read reads a pot.conf. Keys that are not of Conf are passed over, a line
// that is none is an error.
func Read(r io.Reader) (Image, error) {
	var c Image
	attributes := map[string]string{}
	err := Each(r, func(key, value string) {
		if name, ok := strings.CutPrefix(key, "pot.attr."); ok {
			attributes[name] = strings.TrimSpace(value)
			return
		}
		switch key {
		case "osrelease":
			c.Release = strings.Trim(strings.TrimSpace(value), `"`)
		case "bridge":
			c.Bridge = strings.Trim(strings.TrimSpace(value), `"`)
		case "pot.cmd":
			c.Cmd = strings.TrimSpace(value) // the last one counts
		case "ip":
			for text := range strings.FieldsSeq(value) {
				if addr, err := netip.ParseAddr(text); err == nil {
					c.Addresses = append(c.Addresses, addr)
				}
			}
		case "pot.env":
			c.Env = append(c.Env, unquoteEnv(value))
		}
	})
	if err != nil {
		return Image{}, err
	}
	c.setAttributes(attributes)
	return c, nil
}

// Each calls f with every key of a pot.conf and the value as it stands there,
// in order. A line that is none is an error.
func Each(r io.Reader, f func(key, value string)) error {
	lines := bufio.NewScanner(io.LimitReader(r, MaxBytes+1))
	lines.Buffer(nil, MaxBytes)
	total := 0
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if total += len(line) + 1; total > MaxBytes {
			return fmt.Errorf("pot.conf: more than %d bytes", MaxBytes)
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsRune(line, 0) {
			return fmt.Errorf("pot.conf:%d: no key=value: %.80q", n, line)
		}
		f(strings.TrimSpace(key), value)
	}
	return lines.Err()
}

// setAttributes parses what a pot.conf says of attributes. An empty value stands for none, as
// with pot, and an attribute that this project does not know is ignored.
func (c *Image) setAttributes(all map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if find(name) == nil || all[name] == "" {
			continue
		}
		value, err := parseWritten(name, all[name])
		if err != nil {
			c.Invalid = append(c.Invalid, err)
			continue
		}
		if c.Attributes == nil {
			c.Attributes = Attributes{}
		}
		c.Attributes[name] = value
	}
}

// variables are the names that a shell can export.
var variables = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// CheckVariable returns what is wrong with NAME=value, as a variable of a pot's environment.
func CheckVariable(variable string) error {
	name, _, ok := strings.Cut(variable, "=")
	if !ok || !variables.MatchString(name) {
		return fmt.Errorf("must be VAR=value, not %.80q", variable)
	}
	if err := CheckLine(variable); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// QuoteEnv returns NAME=value as a pot.conf has it (pot set-env).
func QuoteEnv(variable string) string { return `"` + strings.ReplaceAll(variable, `"`, `\"`) + `"` }

// unquoteEnv takes the quotes of `"NAME=value"` away, and the backslashes that
// set-env puts before quotes.
func unquoteEnv(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return strings.ReplaceAll(value, `\"`, `"`)
}

// ReadDir returns the pot.conf of the image whose dataset is at dir; an image
// without one has the zero Conf.
func ReadDir(dir string) (Image, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Image{}, err
	}
	defer root.Close()
	f, err := root.Open("conf/pot.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, nil
	}
	if err != nil {
		return Image{}, err
	}
	defer f.Close()
	return Read(f)
}

// Argv is the vector for a pot.cmd, whose process is the command's own.
func (c Image) Argv() []string { return ShellArgv(c.Cmd, "exec ") }

// ShellArgv is the vector for text that is for a shell, with what comes before it
// there; plain words mean the same without one, and then the image needs none.
func ShellArgv(text, before string) []string {
	if text == "" {
		return nil
	}
	if strings.Trim(text, plain) == "" {
		return strings.Fields(text)
	}
	return []string{"/bin/sh", "-c", before + text}
}

// plain are the characters that a shell takes as they are, and what it splits at.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:,@%+- \t"
