package pot

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Host is the machine that pots live on. It is the seam between this project's one
// order of steps (pot/life) and the two hosts, FreeBSD and the Linux development host.
// pot/hosttest holds both hosts to these contracts.
//
// All methods may be called at the same time for different pots. A method that
// creates something returns fs.ErrExist if it exists. A method that removes something
// returns nil if there is none, so that undoing may be repeated.
//
// A part that a host does not have is Unsupported.
type Host struct {
	Name      string // "freebsd" or "linux"
	Images    Images
	Datasets  Cloner
	Snapshots Snapshots // of pots with a dataset of their own
	Mounts    Mounts
	Links     Links
	Redirects Redirects
	Aliases   Aliases
	Jails     Jails
	Limits    Limiter

	// Check returns what the host has and lacks, by severity.
	Check func(ctx context.Context) []CheckResult

	// Leftovers names the pots of which something is left: datasets with LabelTask,
	// jails of this project, and links, limits and redirects without a jail. The names
	// may be any, since other programs keep such things too. known are names of pots,
	// as from records: a host needs them to recognise a name that was shortened.
	Leftovers func(ctx context.Context, known []Name) ([]Name, error)

	// JoinedCount is whether what a jail uses, by Limits, includes what the jails use that
	// have joined its network.
	JoinedCount bool

	// Upstreams returns the servers that the host's own resolver on its loopback
	// forwards to, nil if they are not known.
	Upstreams func() []netip.Addr

	// Mountpoint returns where any dataset of the host is mounted. It is fs.ErrNotExist
	// if the dataset is not mounted.
	Mountpoint func(ctx context.Context, dataset string) (dir string, err error)

	// Unpack creates NAME, with an empty conf/, and its child NAME/m with the tree of a
	// tar archive, by the host's tar(1), which detects the compression. A name that is
	// taken is fs.ErrExist. After an error nothing of name is left.
	Unpack func(ctx context.Context, name string, archive *os.File) error

	// Setup makes what the host lacks, as far as a program may, and reports each thing
	// to o.Tell. It may be repeated.
	Setup func(ctx context.Context, o SetupOptions) error

	// Teardown removes what Setup makes and all pots and images, as far as only pots
	// use it. It reports what it removes, and what it leaves, to o.Tell. It may be
	// repeated.
	Teardown func(ctx context.Context, o SetupOptions) error
}

// SetupOptions say how a host is set up.
type SetupOptions struct {
	FSRoot string // directory that pots' datasets are mounted below
	Cache  string // directory of image files
	Group  string // group that may read those directories
	PF     bool   // change the rules of pf(4)
	DryRun bool   // report and change nothing

	Tell func(what string) // "made dataset zroot/pot", "would make …"
}

// Unsupported is the part of a Host that it does not have. Each method refuses with an
// error that names the operation and wraps ErrUnsupported.
type Unsupported struct{}

func unsupported(op string) error { return fmt.Errorf("%s: %w", op, ErrUnsupported) }

// Find refuses as Aliases.Find.
func (Unsupported) Find(context.Context, InterfaceAddr) (on InterfaceAddr, found bool, err error) {
	return on, false, unsupported("network alias")
}

// Add refuses as Aliases.Add.
func (Unsupported) Add(context.Context, InterfaceAddr) error { return unsupported("network alias") }

// Remove refuses as Aliases.Remove.
func (Unsupported) Remove(context.Context, InterfaceAddr) error { return unsupported("network alias") }

// Mountpoint refuses as Host.Mountpoint.
func (Unsupported) Mountpoint(context.Context, string) (string, error) {
	return "", unsupported("mount point")
}

// Unpack refuses as Host.Unpack.
func (Unsupported) Unpack(context.Context, string, *os.File) error {
	return unsupported("unpack an archive")
}

// Setup refuses as Host.Setup.
func (Unsupported) Setup(context.Context, SetupOptions) error { return unsupported("set up") }

// Teardown refuses as Host.Teardown.
func (Unsupported) Teardown(context.Context, SetupOptions) error { return unsupported("tear down") }

// A CheckResult is something that a host has or lacks.
type CheckResult struct {
	Severity Severity
	Key      string // attribute: "bridge", "memory_limit"
	Text     string // what the host has, or what it lacks and how to fix that
}

// Severity is how much a CheckResult matters.
type Severity int

// Severities.
const (
	Info     Severity = iota // a value to show
	Degraded                 // a feature is missing or works less well
	Fatal                    // no pot can start
)

// KernelRelease returns uname(1) -r, as in 14.2-RELEASE.
func KernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", os.NewSyscallError("uname", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
