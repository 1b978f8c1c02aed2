package pot

import "strings"

// below reports whether a path is dir, or in it.
func below(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// reserved reports whether target is in a tree that the host mounts by itself.
func reserved(target string) bool {
	for _, dir := range []string{"/dev", "/proc"} {
		if target == dir || strings.HasPrefix(target, dir+"/") {
			return true
		}
	}
	return false
}

// validHostname reports whether a pot, or another host that it knows, may have that name.
func validHostname(name string) bool { return hostnames.MatchString(name) }
