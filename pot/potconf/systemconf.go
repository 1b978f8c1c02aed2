package potconf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// SystemConf is the part of pot's own configuration, pot.conf, that this project uses. A
// field whose key is not set is "".
type SystemConf struct {
	ZFSRoot   string // POT_ZFS_ROOT
	Cache     string // POT_CACHE
	Network   string // POT_NETWORK, in CIDR notation
	Gateway   string // POT_GATEWAY
	Interface string // POT_EXTIF
	Isolate   bool   // POT_ISOLATE_VNET_POTS

	FSRoot        string // POT_FS_ROOT
	Group         string // POT_GROUP
	DNS           string // POT_DNS_IP, reserved for the pot that serves DNS
	InterfaceAddr string // POT_EXTIF_ADDR
	Extra         string // POT_EXTRA_EXTIF, separated by blanks
	PFRulesHook   string // POT_EXPORT_PORTS_PF_RULES_HOOK

	Tmp   string // POT_TMP
	Stack string // POT_NETWORK_STACK, unchecked: use NetworkStack

	networks map[string]string // POT_NETWORK_x, of further uplinks
}

// NetworkStack returns the default stack of pots: as with pot, IPv4 unless POT_NETWORK_STACK
// is ipv6 or dual.
func (c *SystemConf) NetworkStack() pot.Stack {
	switch s := pot.Stack(c.Stack); s {
	case pot.IPv6, pot.Dual:
		return s
	}
	return pot.IPv4
}

// PotConfs returns the files of pot's configuration, pot's defaults first. file is the
// operator's, and the defaults are beside it; "" has no files.
func Files(file string) []string {
	if file == "" {
		return nil
	}
	return []string{filepath.Join(filepath.Dir(file), "pot.default.conf"), file}
}

// ReadSystemConf reads files of pot's configuration. A later file overrides an earlier one,
// and a file that does not exist is ignored.
func ReadSystemConf(files ...string) (SystemConf, error) {
	var c SystemConf
	for _, file := range files {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, err
		}
		err = c.read(f)
		f.Close()
		if err != nil {
			return c, fmt.Errorf("%s:%w", file, err)
		}
	}
	return c, nil
}

// read sets the fields that the file assigns. The file is a shell script, but no shell runs
// it here: a value that only a shell could expand is an error.
func (c *SystemConf) read(r io.Reader) error {
	lines := bufio.NewScanner(io.LimitReader(r, conf.MaxBytes))
	for n := 1; lines.Scan(); n++ {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		to := map[string]*string{
			"POT_ZFS_ROOT": &c.ZFSRoot, "POT_CACHE": &c.Cache, "POT_NETWORK": &c.Network,
			"POT_GATEWAY": &c.Gateway, "POT_EXTIF": &c.Interface, "POT_FS_ROOT": &c.FSRoot, "POT_GROUP": &c.Group,
			"POT_DNS_IP": &c.DNS, "POT_EXTIF_ADDR": &c.InterfaceAddr, "POT_TMP": &c.Tmp, "POT_EXTRA_EXTIF": &c.Extra,
			"POT_NETWORK_STACK":              &c.Stack,
			"POT_EXPORT_PORTS_PF_RULES_HOOK": &c.PFRulesHook,
		}[key]
		isolate, network := "", ""
		nic, further := strings.CutPrefix(key, "POT_NETWORK_")
		switch {
		case key == "POT_ISOLATE_VNET_POTS":
			to = &isolate
		case further && nic != "STACK":
			to = &network
		}
		if to == nil {
			continue
		}
		var err error
		if *to, err = shellWord(value); err != nil {
			return fmt.Errorf("%d: %s: %w", n, key, err)
		}
		if to == &isolate {
			c.Isolate = isTrue(isolate)
		}
		if to == &network {
			c.setNetwork(nic, network)
		}
	}
	return lines.Err()
}

func (c *SystemConf) setNetwork(nic, network string) {
	if c.networks == nil {
		c.networks = map[string]string{}
	}
	c.networks[nic] = network
}

// shellWord returns a value without its quotes and comment, as a shell would. A value that a
// shell would expand is an error.
func shellWord(text string) (string, error) {
	value, rest := text, ""
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		var closed bool
		if value, rest, closed = strings.Cut(text[1:], text[:1]); !closed {
			return "", fmt.Errorf("unterminated quote: %.80q", text)
		}
	} else if i := strings.IndexAny(text, " \t"); i >= 0 {
		value, rest = text[:i], text[i:]
	}
	if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' || strings.ContainsAny(value, "$`\\") {
		return "", fmt.Errorf("must be a plain value, not %.80q: no shell reads this file", text)
	}
	return value, nil
}

// isTrue reports whether pot reads word as yes.
func isTrue(word string) bool {
	switch strings.ToLower(word) {
	case "yes", "true", "on", "1":
		return true
	}
	return false
}
