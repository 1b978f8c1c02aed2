package pot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
)

// Conf is a pot.conf(5), as far as a pot is made and shown by it: key=value
// lines, in any order (pot-reference 2.1). An image brings one: what is read
// is untrusted text.
type Conf struct {
	Cmd       string       // pot.cmd: shell text
	Env       []string     // pot.env: NAME=value
	Addresses []netip.Addr // ip: of its own; what is none is passed over
}

const maxConf = 1 << 20

// ReadConf reads a pot.conf. Keys that are not of Conf are passed over, a line
// that is none is an error.
func ReadConf(r io.Reader) (Conf, error) {
	var c Conf
	lines := bufio.NewScanner(io.LimitReader(r, maxConf+1))
	lines.Buffer(nil, maxConf)
	total := 0
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if total += len(line) + 1; total > maxConf {
			return Conf{}, fmt.Errorf("pot.conf: more than %d bytes", maxConf)
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsRune(line, 0) {
			return Conf{}, fmt.Errorf("pot.conf:%d: no key=value: %.80q", n, line)
		}
		switch strings.TrimSpace(key) {
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
	}
	return c, lines.Err()
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

// argv is the vector for a pot.cmd. The text is for a shell; plain words mean
// the same without one, and then the image needs none.
func (c Conf) argv() []string {
	if c.Cmd == "" {
		return nil
	}
	if strings.Trim(c.Cmd, plain) == "" {
		return strings.Fields(c.Cmd)
	}
	return []string{"/bin/sh", "-c", "exec " + c.Cmd}
}

// plain are the characters that a shell takes as they are, and what it splits at.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:,@%+- \t"

// writeConf writes the conf directory of a pot anew: nothing in it is the
// image's, whose hooks and mounts are host code (design: decision 2). The
// shell pot can show what is written.
func writeConf(dir string, s *Spec, addr string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir("conf", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	network := string(s.Network)
	if s.Network == HostNetwork || s.Network == NoNetwork {
		network = "inherit" // pot has no word for none
	}
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "%s=%s\n", key, value) }
	line("pot.level", "0")
	line("pot.type", "single")
	line("pot.dns", "off")
	line("host.hostname", `"`+s.hostname()+`"`)
	line("pot.attr.persistent", "NO")
	line("pot.attr.no-rc-script", "YES")
	line("pot.attr.start-at-boot", "NO")
	line("pot.stack", "ipv4")
	line("network_type", network)
	if addr != "" {
		line("vnet", "true")
		line("ip", addr)
	}
	if err := root.WriteFile("conf/pot.conf", []byte(b.String()), 0o644); err != nil {
		return err
	}
	return root.WriteFile("conf/fscomp.conf", nil, 0o644)
}

// hostname is what the pot calls itself.
func (s *Spec) hostname() string {
	if s.Hostname != "" {
		return s.Hostname
	}
	return string(s.Name)
}
