package zfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gozfs "github.com/mistifyio/go-zfs/v3"

	"nomad-driver-pot/pot/run"
)

// Admin has the operations that a person waits for. go-zfs cannot cancel a call: a call that
// outlasts its context or its bound is reported and left behind, and no other is started
// until it has ended.
type Admin struct {
	bound time.Duration // of a call
	grace time.Duration // for a call whose context has ended: a terminal interrupts zfs(8) too

	mu      sync.Mutex
	running *call // nil if there is none
}

// NewAdmin returns an Admin. There must be one for a process.
func NewAdmin() *Admin {
	findPrograms()
	return &Admin{bound: 10 * time.Minute, grace: 2 * time.Second}
}

// findPrograms adds the directory of zfs(8) and zpool(8) to PATH, as the PATH of a service may
// have only other directories. Package run does not need it.
func findPrograms() {
	const dir = "/sbin" // hier(7)
	path := os.Getenv("PATH")
	if all := filepath.SplitList(path); !slices.Contains(all, dir) {
		os.Setenv("PATH", strings.Join(append(all, dir), string(filepath.ListSeparator)))
	}
}

// call is one call of go-zfs.
type call struct {
	what      string
	began     time.Time
	err       error
	ended     chan struct{} // closed once err is set
	abandoned chan struct{} // closed when nobody waits any longer
}

// call calls f, of which there is one at a time. what says what it does, as a command line.
func (a *Admin) call(ctx context.Context, what string, f func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.bound, fmt.Errorf("not done within %s", a.bound))
	defer cancel()
	c := &call{what: what, ended: make(chan struct{}), abandoned: make(chan struct{})}
	if err := a.start(ctx, c, f); err != nil {
		return err
	}
	select {
	case <-c.ended:
		return c.err
	case <-ctx.Done():
	}
	select {
	case <-c.ended:
		return errors.Join(fmt.Errorf("%s: %w", what, context.Cause(ctx)), c.err)
	case <-time.After(a.grace):
		close(c.abandoned)
		return fmt.Errorf("%s: %w, and still running: see what it waits for with procstat kstack and zpool status", what, context.Cause(ctx))
	}
}

// start starts c when no other call is running. It does not wait for one that hangs.
func (a *Admin) start(ctx context.Context, c *call, f func() error) error {
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", c.what, context.Cause(ctx))
		}
		other := a.claim(c)
		if other == nil {
			break
		}
		select {
		case <-other.ended:
		case <-other.abandoned:
			return fmt.Errorf("%s: not started: %s has not ended since %s", c.what, other.what, other.began.Format(time.TimeOnly))
		case <-ctx.Done():
		}
	}
	go func() {
		c.err = commandError(f())
		a.mu.Lock()
		a.running = nil
		a.mu.Unlock()
		close(c.ended)
	}()
	return nil
}

// claim makes c the running call, or returns the one that is.
func (a *Admin) claim(c *call) (other *call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running != nil {
		return a.running
	}
	c.began = time.Now()
	a.running = c
	return nil
}

// commandError returns err of go-zfs as package run would, and classified. Its Debug is the
// path of the command and its arguments.
func commandError(err error) error {
	var failed *gozfs.Error
	if !errors.As(err, &failed) {
		return err
	}
	argv := strings.Split(failed.Debug, " ")
	argv[0] = filepath.Base(argv[0])
	var exit *exec.ExitError
	if !errors.As(failed.Err, &exit) {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), failed.Err)
	}
	return classify(&run.Error{Argv: argv, Code: exit.ExitCode(), Stderr: strings.TrimSpace(failed.Stderr)})
}

// Health returns the health of a pool in a word of zpoolconcepts(7), as ONLINE or SUSPENDED.
func (a *Admin) Health(ctx context.Context, pool string) (health string, err error) {
	err = a.call(ctx, "zpool get health "+pool, func() error {
		z, err := gozfs.GetZpool(pool)
		if errors.Is(err, strconv.ErrSyntax) {
			// The numbers of a pool that could not be opened are "-" (libzfs_pool.c,
			// zpool_get_prop), which go-zfs cannot read as a dedupratio.
			health = "UNAVAIL"
			return nil
		}
		if err == nil {
			health = z.Health
		}
		return err
	})
	return health, err
}

// Exists reports whether there is a dataset.
func (a *Admin) Exists(ctx context.Context, dataset string) (bool, error) {
	err := a.call(ctx, "zfs list "+dataset, func() error {
		_, err := gozfs.GetDataset(dataset)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Create creates a file system with these properties.
func (a *Admin) Create(ctx context.Context, dataset string, properties map[string]string) error {
	return a.call(ctx, "zfs create "+dataset, func() error {
		_, err := gozfs.CreateFilesystem(dataset, properties)
		return err
	})
}

// Children lists the file systems and volumes in dataset, by the last part of their names.
func (a *Admin) Children(ctx context.Context, dataset string) (names []string, err error) {
	err = a.call(ctx, "zfs list "+dataset, func() error {
		all, err := (&gozfs.Dataset{Name: dataset}).Children(1)
		for _, d := range all {
			if d.Type != gozfs.DatasetSnapshot {
				names = append(names, strings.TrimPrefix(d.Name, dataset+"/"))
			}
		}
		return err
	})
	return names, err
}

// Destroy destroys a dataset or a snapshot, with all that is below it, or the snapshots of
// that name of all below its dataset, if recursive is set.
func (a *Admin) Destroy(ctx context.Context, dataset string, recursive bool) error {
	flags := gozfs.DestroyDefault
	if recursive {
		flags = gozfs.DestroyRecursive
	}
	return a.call(ctx, "zfs destroy "+dataset, func() error {
		return (&gozfs.Dataset{Name: dataset}).Destroy(flags)
	})
}

// Snapshot takes a snapshot of dataset and of all below it, at one moment.
func (a *Admin) Snapshot(ctx context.Context, dataset, snapshot string) error {
	return a.call(ctx, "zfs snapshot "+dataset+"@"+snapshot, func() error {
		_, err := (&gozfs.Dataset{Name: dataset}).Snapshot(snapshot, true)
		return err
	})
}

// Rollback returns a file system to its newest snapshot, and fails with any other.
func (a *Admin) Rollback(ctx context.Context, snapshot string) error {
	return a.call(ctx, "zfs rollback "+snapshot, func() error {
		return (&gozfs.Dataset{Name: snapshot, Type: gozfs.DatasetSnapshot}).Rollback(false)
	})
}
