package pot

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Name is the name of a pot. Its dataset and its jail have the same name, and paths contain
// it.
type Name string

// names matches fewer names than pot create accepts, which refuses a dot alone: a name goes
// into paths, descriptions of interfaces and jail.conf(5).
var names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// hostnames matches host names (RFC 1123), with _ because tasks' names have it.
var hostnames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$`)

// maxName keeps a name, followed by a dot and a host name, within MAXHOSTNAMELEN (FreeBSD
// sys/param.h: 256), and file names that contain it below NAME_MAX.
const maxName = 128

// Validate returns an error if n cannot be the name of a pot.
func (n Name) Validate() error {
	switch {
	case n == "":
		return errors.New("must be set")
	case len(n) > maxName:
		return fmt.Errorf("must be at most %d characters, not %d", maxName, len(n))
	case !names.MatchString(string(n)):
		return fmt.Errorf("must be letters, digits, - and _, and not begin with -, not %q", string(n))
	case strings.Trim(string(n), "0123456789") == "":
		return fmt.Errorf("must not be all digits, which jail(8) takes for a jail's ID: %q", string(n))
	}
	return nil
}

// ValidHostname reports whether name can be a host name of a pot, or in its hosts(5) file.
func ValidHostname(name string) bool { return hostnames.MatchString(name) }

// ValidateBridge returns an error if name cannot be the name of a private bridge.
func ValidateBridge(name string) error {
	switch {
	case name == "":
		return errors.New("must be set")
	case len(name) > 64 || !names.MatchString(name):
		return fmt.Errorf("must be letters, digits, - and _, at most 64, not %.80q", name)
	}
	return nil
}

// ValidInterface reports whether name can be the name of an interface of the host.
func ValidInterface(name string) bool { return interfaces.MatchString(name) }

// interfaces matches names that ifconfig(8) reads only as an interface (IFNAMSIZ: 16).
var interfaces = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,14}$`)
