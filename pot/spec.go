package pot

import (
	"net/netip"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/tree"
)

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

	// Bare is whether the pot is a network that other pots join: it has no dataset, no files
	// and no command. Image is any dataset beside the datasets of pots.
	Bare bool `json:",omitempty"`

	Persistent bool `json:",omitempty"` // whether the pot stays when its command has ended; for InPlace
	Network    NetworkMode
	Stack      Stack           `json:",omitempty"` // "": IPv4, or the families of Aliases
	Of         Name            `json:",omitempty"` // for Joined: the pot whose network it is
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
	User    string   // name or number in the image's passwd(5); "" for the image's pot.user, or root
	WorkDir string   // in the pot; "" for the image's pot.workdir, or /
	Stdout  string   // path of a fifo or a file that exists; "" for /dev/null
	Stderr  string

	OnExit []string `json:"Then,omitempty"` // command that is run on the host when Command has ended; may be empty
}

// JailName returns the name of the pot's jail: the pot's own, or OF.NAME for a pot that has
// joined the network of another. No pot's name has a dot.
func (s *Spec) JailName() Name { return Jail{Name: s.Name, Of: s.Of}.FullName() }

// Limits are upper bounds on what a pot may use; zero is no bound.
type Limits struct {
	MemoryBytes int64  // resident; above it the kernel kills
	CPUShares   int64  // weight relative to other pots: Nomad's MHz
	CPUPercent  int64  // hard limit, 100 = one core
	CPUs        string // the cores it may run on, as in "0,2-3"

	Processes int64 `json:",omitempty"`
	OpenFiles int64 `json:",omitempty"` // of all its processes
	ReadBPS   int64 `json:",omitempty"` // bytes a second from file systems
	WriteBPS  int64 `json:",omitempty"`
	ReadIOPS  int64 `json:",omitempty"` // operations a second
	WriteIOPS int64 `json:",omitempty"`
}
