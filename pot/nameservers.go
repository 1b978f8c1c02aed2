package pot

import (
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
)

// MaxResolvConf bounds what is read of a resolver(5) file, in bytes.
const MaxResolvConf = 64 << 10

// NameServers returns the servers in the text of a resolver(5) file that other machines,
// and pots, may reach: a server on loopback is another in each network stack.
func NameServers(text string) (servers []netip.Addr) {
	for _, server := range NamedServers(text) {
		if addr, err := netip.ParseAddr(server); err == nil && Reachable(addr) {
			servers = append(servers, addr)
		}
	}
	return servers
}

// NameServersIn returns the servers in the resolver(5) files of root that match pattern, in
// the order of their names, each server once.
func NameServersIn(root fs.FS, pattern string) (servers []netip.Addr) {
	names, _ := fs.Glob(root, pattern) // none for a pattern that is none
	for _, name := range names {
		f, err := root.Open(name)
		if err != nil {
			continue
		}
		text, _ := ReadResolvConf(f)
		f.Close()
		for _, addr := range NameServers(text) {
			if !slices.Contains(servers, addr) {
				servers = append(servers, addr)
			}
		}
	}
	return servers
}

// nameServer returns the server of a line that names one. A resolver knows a keyword at
// the beginning of a line alone.
func nameServer(line string) (server string, ok bool) {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "nameserver" || !strings.HasPrefix(line, "nameserver") {
		return "", false
	}
	return strings.Join(words[1:min(len(words), 2)], ""), true
}

// Reachable reports whether a server's address can be one for a pot. Loopback, and what
// is unspecified, is the pot itself there; a zone is an interface of the host.
func Reachable(addr netip.Addr) bool {
	plain := addr.Unmap()
	return plain.IsValid() && !plain.IsLoopback() && !plain.IsUnspecified() && addr.Zone() == ""
}

// NamedServers returns what a resolver(5) file names as servers, whatever it is.
func NamedServers(text string) (all []string) {
	for line := range strings.Lines(text) {
		if server, ok := nameServer(line); ok {
			all = append(all, server)
		}
	}
	return all
}

// ReadResolvConf reads at most MaxResolvConf bytes of a resolver(5) file.
func ReadResolvConf(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxResolvConf))
	return string(data), err
}
