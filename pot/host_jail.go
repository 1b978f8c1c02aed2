package pot

import (
	"context"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/supervise"
)

// A Jail confines a pot's processes.
type Jail struct {
	Name     Name
	Root     string // the tree that is its /
	Hostname string
	Release  string // of the image's userland, if the tree does not say: "14.2-RELEASE"
	Network  NetworkMode
	Stack    Stack
	Of       Name            // for Joined: the pot whose jail's network it has, which is on a bridge
	Shared   bool            // Of is the name of a jail with Bare
	Bare     bool            // the jail only holds a network: Root is an empty directory, in which nothing is mounted
	Link     Link            // for networks of bridges
	Aliases  []InterfaceAddr // for NetworkMode Alias, each with its interface
	CPUs     string          // Limits.CPUs, for a host that sets them as it creates the jail

	// Attributes that the host does not have are ErrUnsupported, unless they have their
	// default.
	Attributes conf.Attributes
}

// FullName returns the name by which Jails and Limiter know the jail: Name, or OF.NAME if
// it has joined the network of pot OF.
func (j Jail) FullName() Name {
	if j.Of == "" {
		return j.Name
	}
	return j.Of + "." + j.Name
}

// Jails confine processes, and know them by Jail.FullName.
type Jails interface {
	// Create makes an empty jail, which stays until it is removed. Mounts.UnmountAll
	// unmounts what Create mounts in the tree. Of a pot that is joined and has no jail it
	// is fs.ErrNotExist.
	Create(ctx context.Context, j Jail) error

	// Find returns the jail that processes can be started in. A jail that does not exist
	// is fs.ErrNotExist.
	Find(ctx context.Context, name Name) (supervise.Jail, error)

	// Remove kills all processes of the jail, waits for their end, and removes it. Given
	// the bare name of a pot, of which no more is known, it also removes a joined jail.
	Remove(ctx context.Context, name Name) error
}

// Errors of package supervise, so that callers need not import it.
var (
	ErrEnded       = supervise.ErrEnded
	ErrUnknownExit = supervise.ErrUnknownExit

	ErrNotInPot      = supervise.ErrNotInPot
	ErrNotExecutable = supervise.ErrNotExecutable
)

// Usage is what a pot has used.
type Usage struct {
	CPUUser     time.Duration // of all its processes, since it began
	CPUSystem   time.Duration // 0 on a host that counts it in CPUUser
	CPUPercent  float64       // now, 100 = one core; 0 on a host that counts time only
	MemoryBytes int64         // resident
	SwapBytes   int64
	Procs       int
}

// Less subtracts the usage of others, which u includes. It may have been measured later.
func (u Usage) Less(others []Usage) Usage {
	for _, o := range others {
		u.CPUUser = max(u.CPUUser-o.CPUUser, 0)
		u.CPUSystem = max(u.CPUSystem-o.CPUSystem, 0)
		u.CPUPercent = max(u.CPUPercent-o.CPUPercent, 0)
		u.MemoryBytes = max(u.MemoryBytes-o.MemoryBytes, 0)
		u.SwapBytes = max(u.SwapBytes-o.SwapBytes, 0)
		u.Procs = max(u.Procs-o.Procs, 0)
	}
	return u
}

// A Limiter limits and measures jails, and knows them by Jail.FullName. Clear also takes
// the bare name of a pot, of which no more is known.
type Limiter interface {
	// Set limits the processes in the jail, also those to come. A limit that the host
	// cannot set is ErrUnsupported, unless Check has reported it as Degraded.
	Set(ctx context.Context, name Name, l Limits) error

	// Clear removes the limits.
	Clear(ctx context.Context, name Name) error

	// Usage returns what the jail uses and has used. A jail that does not exist is
	// fs.ErrNotExist.
	Usage(ctx context.Context, name Name) (Usage, error)

	// OutOfMemory reports whether the kernel killed a process of the jail for lack of
	// memory. It is proven, never guessed from an exit code.
	OutOfMemory(ctx context.Context, name Name) (bool, error)
}
