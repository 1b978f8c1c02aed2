package pot

import (
	"context"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/supervise"
)

// Host is the machine that pots live on: THE SEAM between what is the same
// everywhere (this package) and what FreeBSD and the Linux development host do
// each in their own way. pot/hosttest holds every host to these contracts.
//
// All methods may be called at the same time for different pots. What makes a
// thing returns fs.ErrExist when it is there already; what takes a thing away
// succeeds when it is gone already, so that undoing may be done twice.
type Host struct {
	Name     string // "freebsd" or "linux"
	Images   Images
	Datasets Datasets
	Mounts   Mounts

	// Snapshots are of pots with a dataset of their own.
	Snapshots Snapshots
	Links     Links
	Jails     Jails
	Limits    Limiter

	// Redirects are nil on a host where supervisors alone publish ports.
	Redirects Redirects

	// Aliases are nil on a host whose jails cannot be held to some of its
	// addresses.
	Aliases Aliases

	// Check looks at what the host has and lacks, in order of weight.
	Check func(ctx context.Context) []CheckResult

	// Leftovers names the pots that something here is left of: datasets with LabelTask,
	// jails of its own, and links, limits and redirects that no jail here is for.
	// Names can be any: others keep such things too. The caller knows some pots, as by
	// their records, from which a host can tell whose a thing is that does not have all
	// of a pot's name. It is nil on a host that leaves nothing but records.
	Leftovers func(ctx context.Context, known []Name) ([]Name, error)

	// Upstreams returns the servers that the host's own resolver, which is on its loopback,
	// asks, as far as it says; none is no error. It is nil on a host that has no such
	// resolver.
	Upstreams func() []netip.Addr

	// Mountpoint is where a dataset of any name is mounted. One that is not is
	// fs.ErrNotExist. It is nil on a host that has datasets of pots alone.
	Mountpoint func(ctx context.Context, dataset string) (dir string, err error)

	// Unpack makes NAME, with an empty conf/, and its child NAME/m, with the tree that
	// is in a tar archive, by the host's own tar(1), which finds out how it is
	// compressed. A name that is taken is fs.ErrExist. After an error nothing of name
	// is left. It is nil on a host that can only receive a stream.
	Unpack func(ctx context.Context, name string, archive *os.File) error

	// Setup has the host get what it lacks, as far as a program may do that, and
	// tells of each thing. It may be called again. It is nil on a host that is as
	// it should be.
	Setup func(ctx context.Context, o SetupOptions) error

	// Teardown takes away what Setup makes, with all pots and images, as far as it is
	// pots' alone, and tells of each thing, and of what it leaves. It may be called
	// again. It is nil with Setup.
	Teardown func(ctx context.Context, o SetupOptions) error
}

// SetupOptions are how a host is set up.
type SetupOptions struct {
	FSRoot string // where its pots' datasets are mounted
	Cache  string // likewise, image files
	Group  string // who may look into them
	PF     bool   // whether pf's rules are changed
	DryRun bool   // whether nothing is

	Tell func(what string) // "made dataset zroot/pot", "would make …"
}

// Images are the datasets that pots are cloned from: NAME, which holds conf/,
// and its child NAME/m, the root tree.
type Images interface {
	// Receive makes name and its children from a zfs send stream that was
	// verified by the caller. After an error nothing of name is left.
	Receive(ctx context.Context, name string, stream io.Reader) error

	// ReceiveLayer is Receive of what is incremental from snapshot of the tree of
	// origin, which is there. What is received on another snapshot is refused, unless
	// that is the same: of an image with the digest of origin, or of a pot of this host
	// that was received as no image (LabelReceived, LabelDigest). A host that keeps no
	// snapshots reads below, the streams of origin and of all that is below it, the oldest
	// first; it closes them.
	ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
		below func(context.Context) ([]io.ReadCloser, error)) error

	// Rename gives from, and all below it, the name to.
	Rename(ctx context.Context, from, to string) error

	// Destroy removes name and all below it.
	Destroy(ctx context.Context, name string) error

	// List names the datasets that begin with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)

	// Idle names the datasets that have that label and that nothing is cloned
	// from, sorted.
	Idle(ctx context.Context, label string) ([]string, error)

	// SetLabels adds labels to those of name, which stay with it. One that is ""
	// is taken away.
	SetLabels(ctx context.Context, name string, labels map[string]string) error

	// Labels are what SetLabels gave name; none is no error, and a dataset
	// that is not there is fs.ErrNotExist. Labels that were lost are fs.ErrInvalid.
	Labels(ctx context.Context, name string) (map[string]string, error)

	// Labelled returns those of the labels that each dataset has, by its name, without
	// the datasets that have none of them.
	Labelled(ctx context.Context, labels ...string) (map[string]map[string]string, error)

	// GUIDs returns those of the snapshots of name and of its tree; nil on a host that
	// does not keep them. A dataset that is not there is fs.ErrNotExist.
	GUIDs(ctx context.Context, name string) ([]uint64, error)
}

// Datasets keep the trees that pots run in.
type Datasets interface {
	// Clone makes the dataset of a pot from an image: DIR/conf, empty, and
	// DIR/m, a writable copy of the image's root tree. It returns DIR.
	Clone(ctx context.Context, c Clone) (dir string, err error)

	// Dir is where name is, mounted or not. One that is not there is
	// fs.ErrNotExist.
	Dir(ctx context.Context, name string) (string, error)

	// Destroy removes name and all below it. Mounts that are not the
	// dataset's own are an error, never followed.
	Destroy(ctx context.Context, name string) error
}

// Snapshots are what pots with a dataset of their own were at a time: NAME and its
// child NAME/m together, under one name, without the @. No such pot is fs.ErrNotExist.
type Snapshots interface {
	// Take makes one. One of that name is fs.ErrExist.
	Take(ctx context.Context, pot, snapshot string) error

	// List is all there are, the oldest first; of the same time NAME's before NAME/m's.
	List(ctx context.Context, pot string) ([]Snapshot, error)

	// Destroy removes one. One that is gone is no error, one that a pot is cloned
	// from is one.
	Destroy(ctx context.Context, pot, snapshot string) error

	// Rollback makes the pot what it was at its newest snapshot, whose name this is.
	Rollback(ctx context.Context, pot, snapshot string) error

	// Send writes the zfs send stream of one, with all before it, as zfs send -R
	// does. Of a clone it is incremental, on a host whose clones are. What was
	// written before an error is no stream.
	Send(ctx context.Context, pot, snapshot string, w io.Writer) error

	// Origin is the pot, and its snapshot, that the tree is a clone of; "" if it is of
	// none, as on a host whose copies need nothing of what they are of.
	Origin(ctx context.Context, pot string) (of, snapshot string, err error)
}

// A Snapshot is one of a dataset.
type Snapshot struct {
	Child                  string // "" for the pot's dataset, "m" for its tree
	Name                   string // without the @
	Created                time.Time
	UsedBytes              int64  // by it alone
	LogicalReferencedBytes int64  // by all that is in it, not compressed: its stream is about as long
	GUID                   uint64 // 0 where a host does not tell
}

// A Clone is what a pot's dataset is made from.
type Clone struct {
	Origin, Name string
	Snapshot     string // of the image: "" for the newest
	Labels       map[string]string
	QuotaBytes   int64 // of what is written to it; 0 for none
}

// Mounts put host directories and files into a pot's tree.
type Mounts interface {
	// Mount makes m.Target below root, where it is missing, and mounts
	// m.Source on it. No link below root is followed: one on the way to the
	// target is an error.
	Mount(ctx context.Context, root string, m Mount) error

	// UnmountAll takes away what is mounted below root, last first; what is
	// mounted on root itself stays.
	UnmountAll(ctx context.Context, root string) error
}

// A Link is what connects a pot to bridges of the host: an interface for each
// family of addresses, one end of it in the pot.
type Link struct {
	Pot     Name
	Bridge  string       // of a private network; "" for the public one
	Address netip.Prefix // of the pot, with the length of its network; not valid without IPv4
	Gateway netip.Addr   // the address of the host's bridge

	// IPv6 is on the bridge that has the uplink, where routers advertise.
	IPv6 bool
}

// Links are the interfaces of pots on the host's bridges.
type Links interface {
	// Attach makes the two ends and puts the host's on the bridge, which is
	// made and given the gateway's address if it is not there yet. The other
	// end goes into the jail when that is created.
	Attach(ctx context.Context, l Link) error

	// Detach takes both ends away. A bridge that was made for pots goes with its
	// last one.
	Detach(ctx context.Context, pot Name) error
}

// Aliases are addresses of pots on interfaces of the host.
type Aliases interface {
	// Find tells whether an interface has an address. One of no interface is
	// looked for on the uplink, whose name is returned.
	Find(ctx context.Context, a InterfaceAddr) (on InterfaceAddr, there bool, err error)

	// Add gives an interface an address, for itself alone.
	Add(ctx context.Context, a InterfaceAddr) error

	// Remove takes it away.
	Remove(ctx context.Context, a InterfaceAddr) error
}

// A Redirect is what is published of a pot.
type Redirect struct {
	Pot   Name
	To    netip.Addr // of the pot; not valid where it is not known
	Ports []Port

	// Anchor is Redirects.Anchor of the pot when it was published; "" where that is
	// not known.
	Anchor string

	// Unpublished is that nothing was ever published of the pot.
	Unpublished bool
}

// Redirects have the kernel send what arrives at the host's ports to pots, with
// the sender's address on it. What does not pass through it, such as what the
// host itself sends, is for the supervisor's forwards.
type Redirects interface {
	// Anchor is what the host calls the redirects of a pot. Other versions of the
	// driver may call them otherwise.
	Anchor(pot Name) string

	// Publish replaces what is published of the pot; no ports are none.
	Publish(ctx context.Context, r Redirect) error

	// Withdraw removes the redirects, wherever they may be if r.Anchor is not known,
	// and ends all connections to and from the pot's address.
	Withdraw(ctx context.Context, r Redirect) error
}

// A Jail is what a pot's processes are confined to.
type Jail struct {
	Name     Name
	Root     string // the tree that is its /
	Hostname string
	Release  string // of the image's userland, where the tree does not say: "14.2-RELEASE"
	Network  NetworkMode
	Stack    Stack
	Link     Link            // for networks of bridges
	Aliases  []InterfaceAddr // for NetworkMode Alias, each with its interface
	CPUs     string          // Limits.CPUs, for a host where that is the jail's own affair

	// Attributes that the host does not have are ErrUnsupported, unless they are
	// at their default.
	Attributes conf.Attributes
}

// Jails confine processes.
type Jails interface {
	// Create makes a jail with nothing in it, which stays until it is removed.
	// What it mounts in the tree is for Mounts.UnmountAll to take away.
	Create(ctx context.Context, j Jail) error

	// Find is the jail that processes can be started in. None of that name is
	// fs.ErrNotExist.
	Find(ctx context.Context, name Name) (supervise.Jail, error)

	// Remove kills all that runs in the jail, waits for its end, and removes it.
	Remove(ctx context.Context, name Name) error
}

// Limits bound what a pot may use; zero is no bound.
type Limits struct {
	MemoryBytes int64  // resident: beyond it the kernel kills
	CPUShares   int64  // weight against other pots, Nomad's MHz
	CPUPercent  int64  // hard bound, 100 = one core
	CPUs        string // the cores it may run on, as in "0,2-3"

	Processes int64 `json:",omitempty"`
	OpenFiles int64 `json:",omitempty"` // of all its processes
	ReadBPS   int64 `json:",omitempty"` // bytes a second from file systems
	WriteBPS  int64 `json:",omitempty"`
	ReadIOPS  int64 `json:",omitempty"` // operations a second
	WriteIOPS int64 `json:",omitempty"`
}

// Usage is what a pot has used.
type Usage struct {
	CPUUser     time.Duration // of all its processes, since it began
	CPUSystem   time.Duration // 0 where a host does not tell it from CPUUser
	CPUPercent  float64       // now, 100 = one core; 0 where only time is counted
	MemoryBytes int64         // resident
	SwapBytes   int64
	Procs       int
}

// Limiter bounds and measures jails.
type Limiter interface {
	// Set bounds what is in the jail, and what will be. What this host cannot
	// bound is ErrUnsupported, unless Check has said that it is absent.
	Set(ctx context.Context, name Name, l Limits) error

	// Clear takes the bounds away.
	Clear(ctx context.Context, name Name) error

	// Usage is what the jail uses and has used. No such jail is fs.ErrNotExist.
	Usage(ctx context.Context, name Name) (Usage, error)

	// OutOfMemory tells whether the kernel killed in the jail for want of
	// memory: proven, never guessed from an exit code.
	OutOfMemory(ctx context.Context, name Name) (bool, error)
}

// A CheckResult is something that a host has or lacks.
type CheckResult struct {
	Severity Severity
	Key      string // attribute: "bridge", "memory_limit"
	Text     string // what is there, or what is missing and what would mend it
}

// Severity is how much a finding matters.
type Severity int

// Weights of findings.
const (
	Info     Severity = iota // a value to show
	Degraded                 // something works less well without it
	Fatal                    // no pot can start
)

// KernelRelease is what uname(1) -r says, as in 14.2-RELEASE.
func KernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", os.NewSyscallError("uname", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
