package pot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Conf is a pot.conf(5), as far as a pot is made and shown by it: key=value
// lines, in any order (pot-reference 2.1). An image brings one: what is read
// is untrusted text.
type Conf struct {
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

const maxConf = 1 << 20

// ReadConf reads a pot.conf. Keys that are not of Conf are passed over, a line
// that is none is an error.
func ReadConf(r io.Reader) (Conf, error) {
	var c Conf
	attributes := map[string]string{}
	err := EachLine(r, func(key, value string) {
		if name, ok := strings.CutPrefix(key, "pot.attr."); ok {
			attributes[name] = strings.Trim(strings.TrimSpace(value), `"`)
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
		return Conf{}, err
	}
	c.setAttributes(attributes)
	return c, nil
}

// EachLine calls f with every key of a pot.conf and the value as it stands there,
// in order. A line that is none is an error.
func EachLine(r io.Reader, f func(key, value string)) error {
	lines := bufio.NewScanner(io.LimitReader(r, maxConf+1))
	lines.Buffer(nil, maxConf)
	total := 0
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if total += len(line) + 1; total > maxConf {
			return fmt.Errorf("pot.conf: more than %d bytes", maxConf)
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
func (c *Conf) setAttributes(all map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if findAttribute(name) == nil || all[name] == "" {
			continue
		}
		value, err := ParseAttribute(name, all[name])
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

// unquoteEnv takes the quotes of `"NAME=value"` away, and the backslashes that
// set-env puts before quotes.
func unquoteEnv(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return strings.ReplaceAll(value, `\"`, `"`)
}

// imageConf is the pot.conf of the image whose dataset is at dir; an image
// without one has the zero Conf.
func imageConf(dir string) (Conf, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Conf{}, err
	}
	defer root.Close()
	f, err := root.Open("conf/pot.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return Conf{}, nil
	}
	if err != nil {
		return Conf{}, err
	}
	defer f.Close()
	return ReadConf(f)
}

// argv is the vector for a pot.cmd, whose process is the command's own.
func (c Conf) argv() []string { return shellArgv(c.Cmd, "exec ") }

// shellArgv is the vector for text that is for a shell, with what comes before it
// there; plain words mean the same without one, and then the image needs none.
func shellArgv(text, before string) []string {
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
