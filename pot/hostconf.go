package pot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// HostConf is what pot's own configuration says of a host, as far as pots are
// kept by it; what is not set is "" (pot-reference 1.1).
type HostConf struct {
	ZFSRoot   string // POT_ZFS_ROOT
	Cache     string // POT_CACHE
	Network   string // POT_NETWORK, in CIDR notation
	Gateway   string // POT_GATEWAY
	Interface string // POT_EXTIF
	Isolate   bool   // POT_ISOLATE_VNET_POTS
}

// HostConfig is what a machine's host is opened with. What a host has no use for
// is passed over.
type HostConfig struct {
	Dir        string // its own state, and on Linux its datasets
	Supervisor string // path of pot-supervisor
	Network    Network

	// Of FreeBSD.
	ZFSRoot   string
	Interface string // the uplink, "" if there is none
	Isolate   bool   // pots on a bridge do not reach each other
}

// HostDefaults are where things are on a host when nobody says.
type HostDefaults struct {
	Dir       string // the driver's state
	Cache     string // image files; "" for a directory in Dir
	PotConfig string // pot's own configuration, whose defaults are beside it; "" if there is none
}

// DefaultZFSRoot is POT_ZFS_ROOT where it is not set.
const DefaultZFSRoot = "zroot/pot"

// DefaultsOf are those of a host by its name.
func DefaultsOf(host string) HostDefaults {
	if host == "freebsd" {
		return HostDefaults{Dir: "/var/db/nomad-driver-pot", Cache: "/var/cache/pot", PotConfig: "/usr/local/etc/pot/pot.conf"}
	}
	return HostDefaults{Dir: "/var/lib/nomad-driver-pot"}
}

// PotConfs are the files of pot's configuration of which file is the operator's.
func PotConfs(file string) []string {
	if file == "" {
		return nil
	}
	return []string{filepath.Join(filepath.Dir(file), "pot.default.conf"), file}
}

// ReadHostConf reads configuration files of pot's, of which later ones win. One
// that is not there says nothing.
func ReadHostConf(files ...string) (HostConf, error) {
	var c HostConf
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

// read takes assignments. The file is a shell script, which no shell reads here:
// a value that only a shell could read is an error.
func (c *HostConf) read(r io.Reader) error {
	lines := bufio.NewScanner(io.LimitReader(r, maxConf))
	for n := 1; lines.Scan(); n++ {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		to := map[string]*string{
			"POT_ZFS_ROOT": &c.ZFSRoot, "POT_CACHE": &c.Cache, "POT_NETWORK": &c.Network,
			"POT_GATEWAY": &c.Gateway, "POT_EXTIF": &c.Interface,
		}[key]
		isolate := ""
		if key == "POT_ISOLATE_VNET_POTS" {
			to = &isolate
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
	}
	return lines.Err()
}

// shellWord is a value as a shell would have it, if it is plain.
func shellWord(text string) (string, error) {
	value, rest := text, ""
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		var closed bool
		if value, rest, closed = strings.Cut(text[1:], text[:1]); !closed {
			return "", fmt.Errorf("a quote is not closed: %.80q", text)
		}
	} else if i := strings.IndexAny(text, " \t"); i >= 0 {
		value, rest = text[:i], text[i:]
	}
	if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' || strings.ContainsAny(value, "$`\\") {
		return "", fmt.Errorf("only a shell can read %.80q", text)
	}
	return value, nil
}

// isTrue is pot's yes.
func isTrue(word string) bool {
	switch strings.ToLower(word) {
	case "yes", "true", "on", "1":
		return true
	}
	return false
}
