package pot

import "strings"

// Below reports whether a path is dir, or in it.
func Below(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// ReservedTarget reports whether target is in a tree that the host mounts by itself.
func ReservedTarget(target string) bool {
	for _, dir := range []string{"/dev", "/proc"} {
		if target == dir || strings.HasPrefix(target, dir+"/") {
			return true
		}
	}
	return false
}

// ValidHostname reports whether a pot, or another host that it knows, may have that name.
func ValidHostname(name string) bool { return hostnames.MatchString(name) }
