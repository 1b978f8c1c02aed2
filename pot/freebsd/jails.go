package freebsd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
	"nomad-driver-pot/pot/supervise"
)

// jails implements pot.Jails with jail(8). They persist: a jail exists until it is removed,
// whatever runs in it. Without persist a jail would end with its last process, and could
// not be created without one (jail(8)).
type jails struct {
	runner      run.Runner
	kernel      JailKernel
	mounts      mounts
	links       *links
	statusFiles statusFiles
}

// Create is pot.Jails'. jail(8) moves the pairs' ends into the jail as it creates it
// (vnet.interface), so they must exist before; their addresses are set after that. devfs is
// mounted here and not by jail(8) (mount.devfs), side by side with the network, and with a
// check of its ruleset.
func (j jails) Create(ctx context.Context, jail pot.Jail) (err error) {
	var device pairs
	if jail.Link != (pot.Link{}) {
		if device, err = j.links.devices(ctx, jail.Name); err != nil {
			return err
		}
	}
	argv, err := parameters(jail, device)
	if err == nil {
		err = j.extend(ctx, jail)
	}
	if err != nil {
		return err
	}
	if _, err := j.runner.Run(ctx, nil, argv...); err != nil {
		return j.createFailed(ctx, jail, refusedByParent(jail, classify(err)))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error {
				return errors.Join(j.Remove(ctx, jail.FullName()), j.mounts.unmountSystems(ctx, jail.Root))
			}))
		}
	}()
	group, ctx := errgroup.WithContext(ctx) // each waits for a command
	if !jail.Bare {
		group.Go(func() error { return j.mounts.systems(ctx, jail.Root, jail.Attributes) })
	}
	group.Go(func() error { return j.cpus(ctx, jail) })
	if jail.Network.VNET() || jail.Network == pot.NoNetwork {
		group.Go(func() error { return j.loopback(ctx, jail) })
		group.Go(func() error { return j.connect4(ctx, jail, device.v4) })
		group.Go(func() error { return j.connect6(ctx, jail, device.v6) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if !jail.Bare { // to the shell tool it is no pot
		j.statusFiles.started(jail.Name, device)
	}
	return nil
}

// cpus binds the processes of a jail to its cores.
func (j jails) cpus(ctx context.Context, jail pot.Jail) error {
	if jail.CPUs == "" {
		return nil
	}
	id, err := j.kernel.JailID(string(jail.FullName()), false)
	if err == nil {
		_, err = j.runner.Run(ctx, nil, "cpuset", "-l", jail.CPUs, "-j", strconv.Itoa(id))
	}
	return err
}

// createFailed removes a jail after a failed jail -c: jail(8) creates it before it moves
// interfaces into it.
func (j jails) createFailed(ctx context.Context, jail pot.Jail, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return j.Remove(ctx, jail.FullName()) }))
}

// extend allows a shared network's jail, in which nothing runs, what a jail may do that
// joins it: a child can have no more (sys/kern/kern_jail.c, kern_jail_set).
func (j jails) extend(ctx context.Context, jail pot.Jail) error {
	if !jail.Shared {
		return nil
	}
	argv := []string{"jail", "-m", "name=" + string(jail.Of)}
	for _, p := range allowed(jail.Attributes) {
		if strings.HasPrefix(p, "allow.") {
			argv = append(argv, p)
		}
	}
	if len(argv) == 3 {
		return nil
	}
	_, err := j.runner.Run(ctx, nil, argv...)
	return classify(err)
}

// refusedByParent returns err with the reason why a jail that joins another's network was
// refused, where jail(8) says only that it was.
func refusedByParent(jail pot.Jail, err error) error {
	if jail.Of != "" && run.Says(err, "Operation not permitted") {
		return fmt.Errorf("%w; a pot that joins the network of %s can have no attribute that gives it more than %s has", err, jail.Of, jail.Of)
	}
	return err
}

// validOSRelease reports whether a jail may have text as its osrelease (jail(8)): a release with
// its branch, as uname(1) shows it.
func validOSRelease(text string) bool { return strings.Contains(text, "-") && conf.ValidRelease(text) }

// userland returns the release of the image's userland, from its freebsd-version(1), a text
// file that is not trusted. It returns "" if there is none.
func userland(root string) (string, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return "", err
	}
	defer r.Close()
	const file = "bin/freebsd-version"
	info, err := r.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	f, err := r.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 64<<10))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "USERLAND_VERSION="); ok {
			if value = strings.Trim(value, `"'`); validOSRelease(value) {
				return value, nil
			}
		}
	}
	return "", nil // a script of another kind
}

// Find is pot.Jails'.
func (j jails) Find(ctx context.Context, name pot.Name) (supervise.Jail, error) {
	id, err := j.kernel.JailID(string(name), false)
	if err != nil {
		return supervise.Jail{}, fmt.Errorf("jail %s: %w", name, err)
	}
	return supervise.Jail{ID: id}, nil
}

// dyingWithin bounds the wait for the end of a jail's processes, where the kernel
// does not count processes.
const dyingTimeout = 5 * time.Second

// empty reports whether no process runs in a jail any more, as far as is known. An empty
// jail can be dying for minutes: connections that are being closed hold it, and nothing
// else of the pot.
func (j jails) empty(name pot.Name) bool {
	line, err := j.kernel.Usage(string(name))
	if err != nil {
		return false
	}
	u, err := parseUsage(line)
	return err == nil && u.Procs == 0
}

// Remove is pot.Jails'.
func (j jails) Remove(ctx context.Context, name pot.Name) error {
	j.statusFiles.forget(ofPot(name))
	id, err := j.kernel.JailID(string(name), false)
	if errors.Is(err, fs.ErrNotExist) {
		if joined, found := j.findJoined(name); found {
			name = joined
			id, err = j.kernel.JailID(string(name), false)
		}
	}
	if err == nil {
		err = j.kernel.RemoveJail(id)
	}
	if ignore(fs.ErrNotExist, err) != nil {
		return fmt.Errorf("remove jail %s: %w", name, err)
	}
	deadline := time.Now().Add(dyingTimeout)
	for pause := time.Millisecond; time.Now().Before(deadline); pause = min(2*pause, 100*time.Millisecond) {
		_, err := j.kernel.JailID(string(name), true)
		if errors.Is(err, fs.ErrNotExist) || err == nil && j.empty(name) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("remove jail %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
	return j.overdue(name)
}

// ofPot returns the name of the pot of a jail: NAME of OF.NAME (pot.Jail.FullName).
func ofPot(jail pot.Name) pot.Name { return jail[strings.LastIndexByte(string(jail), '.')+1:] }

// findJoined returns the jail of a pot that has joined the network of another, given the
// bare name of the pot. A pot may have jails of its own in it, by its attribute children,
// and give them any name. So this is for a removal alone.
func (j jails) findJoined(name pot.Name) (pot.Name, bool) {
	if ofPot(name) != name {
		return "", false
	}
	all, err := j.kernel.Jails()
	if err != nil {
		return "", false
	}
	for _, jail := range all {
		if strings.Count(jail, ".") == 1 && ofPot(pot.Name(jail)) == name {
			return pot.Name(jail), true
		}
	}
	return "", false
}

// overdue returns an error if a process is known to run in a jail that was removed.
func (j jails) overdue(name pot.Name) error {
	line, err := j.kernel.Usage(string(name))
	if err != nil {
		return nil // no accounting: nobody knows
	}
	if u, err := parseUsage(line); err == nil && u.Procs > 0 {
		return fmt.Errorf("remove jail %s: it is dying, and %d processes in it have not ended in %s", name, u.Procs, dyingTimeout)
	}
	return nil
}
