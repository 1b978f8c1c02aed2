// Package conf reads and writes the configuration that an image has for its pot: pot.conf and
// fscomp.conf, the attributes of the jail, published ports, hooks, and the labels of the dataset.
//
// It handles text and knows the rules of each value. It starts nothing, and it knows neither
// hosts nor Nomad: package pot/life creates pots from the values. All input is untrusted.
//
// Begin with Image, a pot.conf that was read. New is the pot.conf of a new pot, Lines a
// pot.conf that is changed in place, and the table attributes has all attributes.
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

// Image has the settings of a pot.conf that pots are created and listed with. The file has
// key=value lines in any order (pot, share/pot/create.sh).
type Image struct {
	Cmd        string       // pot.cmd: shell text
	Env        []string     // pot.env: NAME=value
	User       string       // pot.user: name or number of the command's user; not pot's
	WorkDir    string       // pot.workdir: absolute path in the pot; not pot's
	Addresses  []netip.Addr // ip: the pot's addresses; other text in it is ignored
	Release    string       // osrelease
	Bridge     string       // bridge: name of a private bridge
	Attributes Attributes   // pot.attr.*; the last line of an attribute counts

	// Invalid has an error for each attribute with a value that no pot can have. A start
	// ignores such attributes: other tools may have made the image.
	Invalid []error
}

// MaxBytes bounds the size of a pot.conf, and of each file that ReadFile reads.
const MaxBytes = 1 << 20

// Read reads a pot.conf. It ignores keys that Image does not have, and returns an error for a
// line that is not key=value.
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
			c.Cmd = strings.TrimSpace(value) // the last line counts
		case "ip":
			for text := range strings.FieldsSeq(value) {
				if addr, err := netip.ParseAddr(text); err == nil {
					c.Addresses = append(c.Addresses, addr)
				}
			}
		case "pot.user":
			c.User = strings.TrimSpace(value)
		case "pot.workdir":
			c.WorkDir = strings.TrimSpace(value)
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

// Each calls f with each key of a pot.conf and its value as written, in order. It returns an
// error for a line that is not key=value.
func Each(r io.Reader, f func(key, value string)) error {
	lines := bufio.NewScanner(io.LimitReader(r, MaxBytes+1))
	lines.Buffer(nil, MaxBytes)
	total := 0
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if total += len(line) + 1; total > MaxBytes {
			return fmt.Errorf("pot.conf: must be at most %d bytes", MaxBytes)
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsRune(line, 0) {
			return fmt.Errorf("pot.conf:%d: must be key=value, not %.80q", n, line)
		}
		f(strings.TrimSpace(key), value)
	}
	return lines.Err()
}

// setAttributes parses the attributes of a pot.conf. It ignores an empty value, as pot does, and
// an attribute that is not in the table.
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

// CheckVariable returns an error unless variable is NAME=value with a name that a shell can
// export, on one line.
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

// QuoteEnv returns NAME=value in the form of a pot.conf (pot, share/pot/set-env.sh).
func QuoteEnv(variable string) string { return `"` + strings.ReplaceAll(variable, `"`, `\"`) + `"` }

// unquoteEnv strips the quotes of `"NAME=value"`, and the backslashes that set-env puts before
// quotes.
func unquoteEnv(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return strings.ReplaceAll(value, `\"`, `"`)
}

// ReadDir reads the pot.conf of the image whose dataset is mounted at dir. It returns the zero
// Image if there is no such file. A link in the image cannot lead it out of dir.
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

// Argv returns the argument vector for Cmd. If that needs a shell, the shell execs the command,
// so that signals reach the command and not the shell.
func (c Image) Argv() []string { return ShellArgv(c.Cmd, "exec ") }

// ShellArgv returns the argument vector for shell text, with before in front of it. Plain and
// quoted words need no shell, so that an image without /bin/sh can be used: they are the vector
// themselves.
func ShellArgv(text, before string) []string {
	if text == "" {
		return nil
	}
	if words, ok := splitWords(text); ok {
		return words
	}
	return []string{"/bin/sh", "-c", before + text}
}

// plain are the characters without a meaning to a shell, except those at which it splits words.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:,@%+-"

// splitWords splits shell text into words, as a shell does. It returns false for text that means
// more than words of plain characters, of single quotes, and of quotes behind a backslash.
func splitWords(text string) (words []string, ok bool) {
	for text = strings.Trim(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		var word strings.Builder
		for text != "" && text[0] != ' ' && text[0] != '\t' {
			n := len(text) - len(strings.TrimLeft(text, plain))
			switch quoted, isQuoted := strings.CutPrefix(text, "'"); {
			case n > 0:
				word.WriteString(text[:n])
				text = text[n:]
			case strings.HasPrefix(text, `\'`):
				word.WriteByte('\'')
				text = text[2:]
			case isQuoted:
				within, rest, closed := strings.Cut(quoted, "'")
				if !closed {
					return nil, false
				}
				word.WriteString(within)
				text = rest
			default:
				return nil, false
			}
		}
		words = append(words, word.String())
	}
	return words, len(words) > 0
}

// QuoteWords returns shell text for an argument vector.
func QuoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; w == "" || strings.Trim(w, plain) != "" {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
