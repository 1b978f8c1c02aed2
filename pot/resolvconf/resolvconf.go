// Package resolvconf reads resolver(5) files, of the host, of its resolvers and of images,
// and decides which of their servers a pot can reach. Package life writes the file of a pot.
package resolvconf

import (
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
)

// MaxBytes is how many bytes are read of a resolver(5) file.
const MaxBytes = 64 << 10

// NameServers returns the servers in the text of a resolver(5) file that pots may reach. A
// server on loopback is not one of them: each network stack has its own loopback.
func NameServers(text string) (servers []netip.Addr) {
	for _, server := range NamedServers(text) {
		if addr, err := netip.ParseAddr(server); err == nil && Reachable(addr) {
			servers = append(servers, addr)
		}
	}
	return servers
}

// NameServersIn returns the NameServers of the resolver(5) files in root that match pattern,
// in the order of the files' names, each server once.
func NameServersIn(root fs.FS, pattern string) (servers []netip.Addr) {
	names, _ := fs.Glob(root, pattern) // no names for a malformed pattern
	for _, name := range names {
		f, err := root.Open(name)
		if err != nil {
			continue
		}
		text, _ := Read(f)
		f.Close()
		for _, addr := range NameServers(text) {
			if !slices.Contains(servers, addr) {
				servers = append(servers, addr)
			}
		}
	}
	return servers
}

// nameServer returns the server of a nameserver line. A resolver knows a keyword only at the
// beginning of a line.
func nameServer(line string) (server string, ok bool) {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "nameserver" || !strings.HasPrefix(line, "nameserver") {
		return "", false
	}
	return strings.Join(words[1:min(len(words), 2)], ""), true
}

// Reachable reports whether a pot may reach a server at addr. A loopback or unspecified
// address means the pot itself there, and a zone names an interface of the host.
func Reachable(addr netip.Addr) bool {
	plain := addr.Unmap()
	return plain.IsValid() && !plain.IsLoopback() && !plain.IsUnspecified() && addr.Zone() == ""
}

// NamedServers returns all servers in the text of a resolver(5) file, unchecked.
func NamedServers(text string) (all []string) {
	for line := range strings.Lines(text) {
		if server, ok := nameServer(line); ok {
			all = append(all, server)
		}
	}
	return all
}

// ReadResolvConf reads at most MaxResolvConf bytes of a resolver(5) file.
func Read(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes))
	return string(data), err
}
