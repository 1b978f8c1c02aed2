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

// Host is the machine that pots run on: THE SEAM between the code that is the same for every
// system (packages life and local) and FreeBSD and the Linux development host (packages
// freebsd and linux). The tests of pot/hosttest hold every host to these contracts.
//
// All methods may be called at the same time for different pots. A method that makes a thing
// returns fs.ErrExist if the thing exists. A method that removes a thing returns nil if there
// is none, so that it may be called twice.
type Host struct {
	Name     string // "freebsd" or "linux"
	Images   Images
	Datasets Datasets
	Mounts   Mounts

	// Snapshots are for pots that run in their own dataset (Spec.InPlace).
	Snapshots Snapshots
	Links     Links
	Jails     Jails
	Limits    Limiter

	// Redirects is nil on a host where only supervisors publish ports.
	Redirects Redirects

	// Aliases is nil on a host that cannot restrict a jail to some of its addresses.
	Aliases Aliases

	// Check returns what the host has and lacks.
	Check func(ctx context.Context) []CheckResult

	// Leftovers returns the names of the pots that anything is left of on the host:
	// datasets with LabelTask, jails of this host's pots, and links, limits and redirects
	// without such a jail. A name may be invalid: other tools keep such things too.
	// known are the pots that the caller knows, for example by their records: by them the
	// host finds the owner of a thing that has only a part of the pot's name. It is nil
	// on a host that leaves nothing but records.
	Leftovers func(ctx context.Context, known []Name) ([]Name, error)

	// Upstreams returns the servers that the host's own resolver asks, if that listens on
	// loopback and the servers can be found. It is nil on a host without such a resolver.
	Upstreams func() []netip.Addr

	// Mountpoint returns where a dataset of any name is mounted, or fs.ErrNotExist if it
	// is not. It is nil on a host that has no datasets but the pots'.
	Mountpoint func(ctx context.Context, dataset string) (dir string, err error)

	// Unpack creates NAME, with an empty conf/, and its child NAME/m, with the tree of a
	// tar archive. The host's tar(1) detects the compression. Unpack returns fs.ErrExist
	// if NAME exists, and leaves nothing of NAME behind after any other error. It is nil
	// on a host that can only receive streams.
	Unpack func(ctx context.Context, name string, archive *os.File) error

	// Setup creates what pots need and the host lacks, as far as a program may do that,
	// and reports each change to o.Tell. It may be called again. It is nil on a host that
	// needs no setup.
	Setup func(ctx context.Context, o SetupOptions) error

	// Teardown removes what Setup creates, with all pots and images, unless other programs
	// may use it, and reports to o.Tell what it removes and what it leaves. It may be
	// called again. It is nil if Setup is.
	Teardown func(ctx context.Context, o SetupOptions) error
}

// SetupOptions are the options of Host.Setup and Host.Teardown.
type SetupOptions struct {
	FSRoot string // directory that the pots' datasets are mounted on
	Cache  string // directory of image files
	Group  string // group that may read them
	PF     bool   // whether to change pf's rules
	DryRun bool   // whether to change nothing

	Tell func(what string) // "made dataset zroot/pot", "would make …"
}

// Images are the datasets that pots are cloned from: NAME, which holds conf/, and its child
// NAME/m, the root tree.
type Images interface {
	// Receive creates name and its children from a zfs send stream, which the caller has
	// verified. After an error nothing of name is left.
	Receive(ctx context.Context, name string, stream io.Reader) error

	// ReceiveLayer is Receive for a stream that is incremental from a snapshot of the tree
	// of origin, which exists. A stream that needs another snapshot is refused, unless that
	// snapshot is the same: it belongs to an image with the digest of origin, or to a pot
	// of this host that was not received as an image (LabelReceived, LabelDigest). A host
	// that keeps no snapshots calls below for the streams of origin and of all images below
	// it, the oldest first, and closes them.
	ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
		below func(context.Context) ([]io.ReadCloser, error)) error

	// Rename renames from, and all datasets below it, to the name to.
	Rename(ctx context.Context, from, to string) error

	// Destroy removes name and all datasets below it.
	Destroy(ctx context.Context, name string) error

	// List returns the names of the datasets that begin with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)

	// Idle returns the names of the datasets that have that label and no clones, sorted.
	Idle(ctx context.Context, label string) ([]string, error)

	// SetLabels adds labels to the labels of name. A label with the value "" is removed.
	SetLabels(ctx context.Context, name string, labels map[string]string) error

	// Labels returns the labels that SetLabels has set; nil if there are none. It returns
	// fs.ErrNotExist if there is no such dataset, and fs.ErrInvalid if its labels were
	// lost.
	Labels(ctx context.Context, name string) (map[string]string, error)

	// Labelled returns the values of the given labels of each dataset, by its name,
	// without the datasets that have none of the labels.
	Labelled(ctx context.Context, labels ...string) (map[string]map[string]string, error)

	// GUIDs returns the GUIDs of the snapshots of name and of its tree; nil on a host that
	// does not keep snapshots. It returns fs.ErrNotExist if there is no such dataset.
	GUIDs(ctx context.Context, name string) ([]uint64, error)
}

// Datasets are the trees that pots run in.
type Datasets interface {
	// Clone creates the dataset of a pot from an image: DIR/conf, empty, and DIR/m, a
	// writable copy of the image's root tree. It returns DIR.
	Clone(ctx context.Context, c Clone) (dir string, err error)

	// Dir returns the directory of name, mounted or not, or fs.ErrNotExist if there is no
	// such dataset.
	Dir(ctx context.Context, name string) (string, error)

	// Destroy removes name and all datasets below it. It returns an error if anything else
	// is mounted there, and never removes files of such a mount.
	Destroy(ctx context.Context, name string) error
}

// Snapshots are the snapshots of pots that run in their own dataset: of NAME and its child
// NAME/m together, under one name, without the @. Methods return fs.ErrNotExist if there is
// no such pot.
type Snapshots interface {
	// Take takes a snapshot. It returns fs.ErrExist if the snapshot exists.
	Take(ctx context.Context, pot, snapshot string) error

	// List returns all snapshots, the oldest first. Of the same time, the snapshot of NAME
	// comes before the snapshot of NAME/m.
	List(ctx context.Context, pot string) ([]Snapshot, error)

	// Destroy removes a snapshot. It returns nil if there is none, and an error if a pot
	// is cloned from it.
	Destroy(ctx context.Context, pot, snapshot string) error

	// Rollback restores the pot from its newest snapshot, which must be the named one.
	Rollback(ctx context.Context, pot, snapshot string) error

	// Send writes the zfs send stream of a snapshot and all snapshots before it, as zfs
	// send -R does. The stream of a clone is incremental, on a host whose clones are.
	// After an error, the data that was written is not a stream.
	Send(ctx context.Context, pot, snapshot string, w io.Writer) error

	// Origin returns the pot and the snapshot that the pot's tree is cloned from; "" if it
	// is not a clone, as on a host whose clones are independent copies.
	Origin(ctx context.Context, pot string) (of, snapshot string, err error)
}

// A Snapshot is a snapshot of a pot's dataset or of its tree.
type Snapshot struct {
	Child                  string // "" for the pot's dataset, "m" for its tree
	Name                   string // without the @
	Created                time.Time
	UsedBytes              int64  // that destroying it would free
	LogicalReferencedBytes int64  // of its data, uncompressed: its stream is about as long
	GUID                   uint64 // 0 on a host without GUIDs
}

// A Clone is what a pot's dataset is made from.
type Clone struct {
	Origin, Name string
	Snapshot     string // of the image; "" for the newest
	Labels       map[string]string
	QuotaBytes   int64 // limit of what is written to the clone; 0 for none
}

// Mounts mount directories and files of the host in a pot's tree.
type Mounts interface {
	// Mount creates m.Target below root, if it does not exist, and mounts m.Source on it.
	// It follows no link below root: a link in the path of the target is an error.
	Mount(ctx context.Context, root string, m Mount) error

	// UnmountAll unmounts all that is mounted below root, the last mount first. A mount on
	// root itself stays.
	UnmountAll(ctx context.Context, root string) error
}

// A Link connects a pot to a bridge of the host: an interface for each address family, with
// one end in the pot.
type Link struct {
	Pot     Name
	Bridge  string       // name of the private bridge; "" for the public one
	Address netip.Prefix // of the pot, with the length of its network; not valid without IPv4
	Gateway netip.Addr   // the host's address on the bridge

	// IPv6 is whether the pot has IPv6, on the bridge that has the uplink, where routers
	// advertise.
	IPv6 bool
}

// Links are the interfaces of pots on the host's bridges.
type Links interface {
	// Attach creates both ends and adds the host's end to the bridge. It creates the bridge,
	// with the gateway's address, if it does not exist. The other end is moved into the
	// jail when that is created.
	Attach(ctx context.Context, l Link) error

	// Detach removes both ends, and the bridge with its last link if it was created for
	// pots.
	Detach(ctx context.Context, pot Name) error
}

// Aliases are addresses of pots on interfaces of the host.
type Aliases interface {
	// Find reports whether an interface has an address. If a names no interface, it looks
	// at the uplink. It returns the address with the name of the interface.
	Find(ctx context.Context, a InterfaceAddr) (on InterfaceAddr, exists bool, err error)

	// Add adds an address to an interface, as a network of this one address.
	Add(ctx context.Context, a InterfaceAddr) error

	// Remove removes an address from an interface.
	Remove(ctx context.Context, a InterfaceAddr) error
}

// A Redirect is the published ports of a pot.
type Redirect struct {
	Pot   Name
	To    netip.Addr // of the pot; not valid if it is not known
	Ports []Port

	// Anchor is Redirects.Anchor of the pot when its ports were published; "" if that is
	// not known.
	Anchor string

	// Unpublished is whether no ports of the pot were ever published.
	Unpublished bool
}

// Redirects make the kernel redirect traffic to the host's ports to pots, with the sender's
// address kept. Traffic that the kernel does not redirect, such as the host's own, goes
// through the supervisor's forwards.
type Redirects interface {
	// Anchor returns the host's name for the redirects of a pot. Other versions of the
	// driver may use another name.
	Anchor(pot Name) string

	// Publish replaces the redirects of the pot. Without ports, it removes them.
	Publish(ctx context.Context, r Redirect) error

	// Withdraw removes the redirects, under any name if r.Anchor is not known, and ends
	// all connections to and from the pot's address.
	Withdraw(ctx context.Context, r Redirect) error
}

// A Jail describes the jail that confines a pot's processes.
type Jail struct {
	Name     Name
	Root     string // the tree that is its /
	Hostname string
	Release  string // release of the image's userland, if the tree does not have it: "14.2-RELEASE"
	Network  NetworkMode
	Stack    Stack
	Link     Link            // for PublicBridge and PrivateBridge
	Aliases  []InterfaceAddr // for Alias, each with its interface
	CPUs     string          // Limits.CPUs, for a host that sets them when it creates the jail

	// Attributes that the host does not support are ErrUnsupported, unless they have
	// their default value.
	Attributes conf.Attributes
}

// Jails confine processes.
type Jails interface {
	// Create creates a jail without processes, which stays until it is removed. Its mounts
	// in the tree are unmounted by Mounts.UnmountAll.
	Create(ctx context.Context, j Jail) error

	// Find returns the jail, for starting processes in it. It returns fs.ErrNotExist if
	// there is none of that name.
	Find(ctx context.Context, name Name) (supervise.Jail, error)

	// Remove kills all processes of the jail, waits for their end, and removes the jail.
	Remove(ctx context.Context, name Name) error
}

// Limits bound what a pot may use. A zero field is no limit.
type Limits struct {
	MemoryBytes int64  // resident; beyond it the kernel kills
	CPUShares   int64  // weight against other pots, Nomad's MHz
	CPUPercent  int64  // hard limit, 100 = one core
	CPUs        string // the cores it may run on, as in "0,2-3"

	Processes int64 `json:",omitempty"`
	OpenFiles int64 `json:",omitempty"` // of all processes together
	ReadBPS   int64 `json:",omitempty"` // bytes a second, from file systems
	WriteBPS  int64 `json:",omitempty"`
	ReadIOPS  int64 `json:",omitempty"` // operations a second
	WriteIOPS int64 `json:",omitempty"`
}

// Usage is what a pot uses and has used.
type Usage struct {
	CPUUser     time.Duration // of all its processes, since it was created
	CPUSystem   time.Duration // 0 on a host that counts it in CPUUser
	CPUPercent  float64       // now, 100 = one core; 0 on a host that counts only time
	MemoryBytes int64         // resident
	SwapBytes   int64
	Procs       int
}

// Limiter bounds and measures jails.
type Limiter interface {
	// Set limits all processes in the jail, now and later. A limit that this host cannot
	// set is ErrUnsupported, unless Check reports that it is missing.
	Set(ctx context.Context, name Name, l Limits) error

	// Clear removes the limits.
	Clear(ctx context.Context, name Name) error

	// Usage returns what the jail uses and has used, or fs.ErrNotExist if there is no such
	// jail.
	Usage(ctx context.Context, name Name) (Usage, error)

	// OutOfMemory reports whether the kernel has killed a process of the jail for want of
	// memory: as the kernel says, never guessed from an exit code.
	OutOfMemory(ctx context.Context, name Name) (bool, error)
}

// A CheckResult is something that a host has or lacks.
type CheckResult struct {
	Severity Severity
	Key      string // attribute: "bridge", "memory_limit"
	Text     string // what the host has, or what it lacks and how to change that
}

// Severity is how much a CheckResult matters.
type Severity int

// Severities, the least first.
const (
	Info     Severity = iota // a value to show
	Degraded                 // something works less well without it
	Fatal                    // no pot can start
)

// KernelRelease returns the release that uname(1) -r prints: "14.2-RELEASE".
func KernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", os.NewSyscallError("uname", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
