package pot

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/tree"
)

// Name is a pot's name. Its dataset and its jail have the same name, and paths have it.
type Name string

// names is narrower than in pot, which takes any name without a dot: a name goes
// into paths, interface descriptions and jail.conf (pot-reference 10.3).
var names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// hostnames are names of hosts (RFC 1123), with _ for the names that people give tasks.
var hostnames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$`)

// maxName keeps a name, with a host name's dot behind it, within MAXHOSTNAMELEN
// (FreeBSD sys/param.h: 256) and below NAME_MAX with what is put around it.
const maxName = 128

// Validate returns an error if a name is invalid.
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

// A Mount is a directory or a file of the host, seen at Target in the pot.
type Mount struct {
	Source   string // on the host, absolute; "" for a new file system in memory
	Target   string // in the pot, absolute
	ReadOnly bool

	// Resolved is set if no part of Source is a link. A part that has become a link
	// since is an error (ErrLink).
	Resolved bool `json:",omitempty"`
}

// A HostEntry is a line of the pot's hosts(5).
type HostEntry struct {
	Name string
	Addr netip.Addr
}

// DNS is the pot's resolver(5). The zero value is the host's own.
type DNS struct {
	Servers  []string
	Searches []string
	Options  []string

	// Fallback are servers for a pot that can reach none of the host's.
	Fallback []netip.Addr `json:",omitempty"`

	Text string `json:",omitempty"` // the whole file, instead of all the above
	Off  bool   `json:",omitempty"` // the pot's file stays as it is
}

// Spec is what a pot is made from. It is kept on disk with the pot's record, so
// it holds no secret: only Start is given the environment.
type Spec struct {
	Name     Name
	Image    string            // the dataset that it is cloned from
	InPlace  bool              `json:"Own,omitempty"` // it runs in its own dataset, which is Image and stays
	Labels   map[string]string // of its owner; kept on its dataset
	Hostname string            // "": the name

	Persistent bool `json:",omitempty"` // it stays when its command has ended; only if InPlace
	Network    NetworkMode
	Stack      Stack           `json:",omitempty"` // "": IPv4, or what Aliases are
	Bridge     string          `json:",omitempty"` // of network PrivateBridge
	Aliases    []InterfaceAddr `json:",omitempty"` // of network Alias
	Address    netip.Addr      `json:",omitzero"`  // on a bridge; not valid: a free one is allocated
	Ports      []Port

	// AnyTransport is set if the transports of Ports are not the user's choice: a port
	// that another program uses for UDP alone is published for TCP.
	AnyTransport bool `json:",omitempty"`

	// Implied is set if the user has not named the ports: another pot may have them.
	Implied bool `json:",omitempty"`

	Mounts []Mount
	Copies []tree.Copy `json:",omitempty"`
	Hosts  []HostEntry
	DNS    DNS
	Limits Limits

	Hooks      []conf.Hook     `json:",omitempty"` // of the image that may be run; only if not InPlace
	Attributes conf.Attributes `json:",omitempty"` // that override the image's
	DiskBytes  int64           `json:",omitempty"` // that may be written to its dataset; 0: any
	WallClock  time.Duration   `json:",omitempty"` // after which the command is killed; 0: never

	Command []string // argument vector; none: the image's pot.cmd
	User    string   // name or number in the image's passwd(5), "" for root
	WorkDir string   // in the pot, "" for /
	Stdout  string   // a fifo, or a file, that exists; "" for /dev/null
	Stderr  string

	OnExit []string `json:"Then,omitempty"` // argument vector of a program that the host runs when the command has ended
}

// Validate returns every problem of s, joined, each as a *FieldError.
func (s *Spec) Validate() error {
	var errs fieldErrors
	if err := s.Name.Validate(); err != nil {
		errs.add("name", "%w", err)
	}
	if s.Image == "" {
		errs.add("image", "must be set")
	}
	if s.InPlace && s.Image != string(s.Name) {
		errs.add("image", "must be the pot's own dataset, not %q", s.Image)
	}
	if s.WorkDir != "" && !path.IsAbs(s.WorkDir) {
		errs.add("work_dir", "must be an absolute path, not %q", s.WorkDir)
	}
	if s.Hostname != "" && !ValidHostname(s.Hostname) {
		errs.add("hostname", "must be letters, digits, - and dots, at most 253, not %q", s.Hostname)
	}
	for i, h := range s.Hosts {
		if !ValidHostname(h.Name) || !h.Addr.IsValid() {
			errs.addAt("hosts", i, "must be a host name and its address, not %q and %s", h.Name, h.Addr)
		}
	}
	s.validateConnection(&errs)
	s.validateAttributes(&errs)
	s.validateMounts(&errs)
	s.validateCopies(&errs)
	return errors.Join(errs...)
}

func (s *Spec) validateMounts(errs *fieldErrors) {
	taken := map[string]bool{}
	for i, m := range s.Mounts {
		if !path.IsAbs(m.Source) {
			errs.addAt("mounts", i, "source must be an absolute path, not %q", m.Source)
		}
		target := path.Clean(m.Target)
		switch {
		case !path.IsAbs(m.Target) || target == "/":
			errs.addAt("mounts", i, "target must be an absolute path below /, not %q", m.Target)
		case ReservedTarget(target):
			errs.addAt("mounts", i, "target %q is the host's to fill", m.Target)
		case taken[target]:
			errs.addAt("mounts", i, "target %q is asked for twice", m.Target)
		}
		taken[target] = true
	}
}

func (s *Spec) validateCopies(errs *fieldErrors) {
	for i, c := range s.Copies {
		if !path.IsAbs(c.Source) || path.Clean(c.Source) == "/" {
			errs.addAt("copies", i, "source must be an absolute path below /, not %q", c.Source)
		}
		if target := path.Clean(c.Target); !path.IsAbs(c.Target) || target == "/" || ReservedTarget(target) {
			errs.addAt("copies", i, "target must be an absolute path in the pot's own tree, not %q", c.Target)
		}
	}
}

func (s *Spec) validateAttributes(errs *fieldErrors) {
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		if _, err := conf.ParseTaskAttribute(name, s.Attributes[name]); err != nil {
			errs.add("attributes", "%w", err)
		}
	}
	if s.DiskBytes < 0 {
		errs.add("disk", "must not be negative: %d", s.DiskBytes)
	}
	if s.WallClock < 0 {
		errs.add("wallclock", "must not be negative: %s", s.WallClock)
	}
}
