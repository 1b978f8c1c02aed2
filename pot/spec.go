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

// Name is the name of a pot. Its dataset and its jail have the same name, and paths contain
// it.
type Name string

// names matches fewer names than pot accepts, which is all without a dot: a name goes into
// paths, interface descriptions and jail.conf (pot-reference 10.3).
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

// A Mount is a directory or a file of the host, seen at Target in the pot.
type Mount struct {
	Source   string // on the host, absolute; "" for a new file system in memory
	Target   string // in the pot, absolute
	ReadOnly bool

	// Resolved is whether the caller has found no link in Source. If a part of it has
	// become a link since, the mount fails with ErrLink.
	Resolved bool `json:",omitempty"`
}

// A HostEntry is a line of the pot's hosts(5).
type HostEntry struct {
	Name string
	Addr netip.Addr
}

// DNS is the content of the pot's resolver(5) file. The zero value is the host's own.
type DNS struct {
	Servers  []string
	Searches []string
	Options  []string

	// Fallback are the servers of a pot that can reach none of the host's own.
	Fallback []netip.Addr `json:",omitempty"`

	Text string `json:",omitempty"` // the whole file; all fields above are ignored
	Off  bool   `json:",omitempty"` // whether the file in the pot's tree stays as it is
}

// Spec is what a pot is created from. It is stored in the pot's record, so it must hold no
// secrets: the command's environment is an argument of Pot.Start in package life.
type Spec struct {
	Name     Name
	Image    string            // the dataset that the pot is cloned from
	InPlace  bool              `json:"Own,omitempty"` // whether the pot runs in the dataset Image, which is kept, not in a clone
	Labels   map[string]string // of the pot's dataset: they name its owner
	Hostname string            // "" for the pot's name

	Persistent bool `json:",omitempty"` // whether the pot stays when its command has ended; for InPlace
	Network    NetworkMode
	Stack      Stack           `json:",omitempty"` // "": IPv4, or the families of Aliases
	Bridge     string          `json:",omitempty"` // for PrivateBridge
	Aliases    []InterfaceAddr `json:",omitempty"` // for network Alias
	Address    netip.Addr      `json:",omitzero"`  // on the bridge; not valid: a free one is allocated
	Ports      []Port

	// AnyTransport is whether the transports of Ports were not asked for: then a port that
	// another program uses for UDP is published for TCP only.
	AnyTransport bool `json:",omitempty"`

	// Implied is whether Ports were not asked for by name: another pot may take them over.
	Implied bool `json:",omitempty"`

	Mounts []Mount
	Copies []tree.Copy `json:",omitempty"`
	Hosts  []HostEntry
	DNS    DNS
	Limits Limits

	Hooks      []conf.Hook     `json:",omitempty"` // hooks of the image that may be run; not for InPlace
	Attributes conf.Attributes `json:",omitempty"` // override the image's
	DiskBytes  int64           `json:",omitempty"` // limit of what is written to the clone; 0: none
	WallClock  time.Duration   `json:",omitempty"` // the command is killed after that time; 0: never

	Command []string // argument vector; empty: the image's pot.cmd
	User    string   // name or number in the image's passwd(5), "" for root
	WorkDir string   // in the pot, "" for /
	Stdout  string   // path of a fifo or a file that exists; "" for /dev/null
	Stderr  string

	OnExit []string `json:"Then,omitempty"` // command that is run on the host when Command has ended; may be empty
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
			errs.addAt("mounts", i, "target %q is reserved for the host", m.Target)
		case taken[target]:
			errs.addAt("mounts", i, "target %q is listed twice", m.Target)
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
