package pot

import "strings"

// Below reports whether a path is dir or below it. Both must be clean.
func Below(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// ReservedTarget reports whether target is in a tree that the host mounts in each pot.
func ReservedTarget(target string) bool {
	for _, dir := range []string{"/dev", "/proc"} {
		if Below(target, dir) {
			return true
		}
	}
	return false
}
