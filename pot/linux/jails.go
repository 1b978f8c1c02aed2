//go:build linux

package linux

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
	"nomad-driver-pot/pot/supervise/inside"
)

// jails implements pot.Jails by namespaces that a first process holds (package inside). The
// file DIR/NAME names that process; it is written before the process does anything.
type jails struct {
	dir        string
	supervisor string
	limiter    *limiter
	networks   *networks
}

// path returns the file of a jail, also of one that has joined the network of another: the
// files have the names of pots.
func (j jails) path(name pot.Name) string { return filepath.Join(j.dir, string(ofPot(name))) }

// ofPot returns the name of the pot of a jail: NAME of OF.NAME (pot.Jail.FullName). Nothing
// on this host has another name.
func ofPot(jail pot.Name) pot.Name { return jail[strings.LastIndexByte(string(jail), '.')+1:] }

// createTimeout bounds the creation of a jail, which is a few mounts and a process.
const createTimeout = 20 * time.Second

// Create implements pot.Jails.Create.
func (j jails) Create(ctx context.Context, jail pot.Jail) (err error) {
	if err := supported(jail); err != nil {
		return err
	}
	if _, err := j.Find(ctx, jail.Name); err == nil {
		return fmt.Errorf("jail %s: %w", jail.Name, fs.ErrExist)
	}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			err = errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return j.Remove(ctx, jail.Name) }))
		}
	}()
	if jail.Network != pot.Joined {
		ns, linked := j.networks.take(jail.Name)
		return j.startFirst(ctx, jail, ns, linked)
	}
	ns, err := j.networkOf(ctx, jail.Of)
	if err != nil {
		return err
	}
	if err := j.startFirst(ctx, jail, ns, true); err != nil {
		return err
	}
	// Whoever removes the other jail removes those that have joined it, before and after:
	// if the other is still there, this one's file is seen.
	_, err = j.Find(ctx, jail.Of)
	return err
}

// networkOf returns the network namespace of a jail. The caller must close it.
func (j jails) networkOf(ctx context.Context, name pot.Name) (netns.NsHandle, error) {
	first, err := j.Find(ctx, name)
	if err != nil {
		return netns.None(), err
	}
	ns, err := netns.GetFromPid(first.ID)
	if err != nil {
		return netns.None(), fmt.Errorf("open network of jail %s: %w", name, err)
	}
	if _, err := j.Find(ctx, name); err != nil { // the ID may be another process's by then
		ns.Close()
		return netns.None(), err
	}
	return ns, nil
}

// supported returns an error for attributes and networks that only FreeBSD's jails have.
// exec_stop and no-tmpfs do not concern the jail itself.
func supported(jail pot.Jail) error {
	for _, name := range jail.Attributes.Changed() {
		if name != "exec_stop" && name != "no-tmpfs" {
			return fmt.Errorf("attribute %s=%s: %w", name, jail.Attributes[name], pot.ErrUnsupported)
		}
	}
	if jail.Network == pot.HostNetwork && jail.Stack != "" {
		return fmt.Errorf("the host's network with %s alone: %w", jail.Stack, pot.ErrUnsupported)
	}
	return nil
}

// startFirst starts the jail's first process, records its ID, and sends it its config. If
// this process dies before the ID is recorded, the first process ends too: its config never
// comes. If there is set, the process starts in the network namespace ns, which startFirst
// closes.
func (j jails) startFirst(ctx context.Context, jail pot.Jail, ns netns.NsHandle, there bool) error {
	cmd := exec.Command(namespaceProgram, "jail")
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	switch {
	case there:
		defer ns.Close()
	case jail.Network != pot.HostNetwork:
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	cmd.Stderr = null // cmd would open /dev/null itself, in a namespace without it
	if err := emptyNamespace.run(ns, jail.Root, j.supervisor, cmd.Start); err != nil {
		return fmt.Errorf("start first process: %w", err)
	}
	onTime := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer onTime()
	answered := make(chan struct{})
	go func() {
		<-answered // Wait closes the pipe that the answer comes through
		cmd.Wait()
	}()
	defer close(answered)

	if err := j.writeFirst(jail.Name, cmd.Process); err != nil {
		return err
	}
	if err := setUpNetwork(cmd.Process.Pid, jail, there); err != nil {
		return err
	}
	err = configureFirst(stdin, stdout, inside.Config{Root: namespaceRoot, Hostname: jail.Hostname})
	if !onTime() { // killed, or about to be, whatever it answered
		return context.Cause(ctx)
	}
	return err
}

// writeFirst records the first process of a jail, and kills it if that fails. Without the
// record nobody could find the process again.
func (j jails) writeFirst(name pot.Name, first *os.Process) error {
	ticks, err := supervise.ProcessStartTicks(first.Pid)
	if err == nil {
		err = j.write(name, supervise.Jail{ID: first.Pid, StartTicks: ticks})
	}
	if err != nil {
		first.Kill()
	}
	return err
}

// configureFirst sends a first process its config and waits for its answer.
func configureFirst(stdin io.WriteCloser, stdout io.ReadCloser, config inside.Config) error {
	err := json.NewEncoder(stdin).Encode(config)
	if err = errors.Join(err, stdin.Close()); err != nil {
		return err
	}
	answer, err := bufio.NewReader(stdout).ReadString('\n')
	stdout.Close() // now: a descriptor that is open here is copied and closed by each later start
	answer = strings.TrimSpace(answer)
	switch {
	case err != nil:
		return fmt.Errorf("first process: no answer: %w", err)
	case answer != inside.Ready:
		return errors.New(answer)
	}
	return nil
}

// write records a jail's first process, for this process and for later ones.
func (j jails) write(name pot.Name, id supervise.Jail) error {
	data, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("internal error: encode jail: %w", err)
	}
	return replaceFile(j.path(name), data)
}

// read returns the recorded first process of a jail, whether it still runs or not.
func (j jails) read(name pot.Name) (id supervise.Jail, err error) {
	data, err := os.ReadFile(j.path(name))
	if err != nil {
		return id, err
	}
	if json.Unmarshal(data, &id) != nil {
		return j.findFirst(name)
	}
	return id, nil
}

// Find implements pot.Jails.Find. The start time tells the process from a later one with
// the same ID. Groups that a command must join belong to the answer, since package
// supervise knows only directories.
func (j jails) Find(ctx context.Context, name pot.Name) (supervise.Jail, error) {
	id, err := j.read(name)
	if err != nil {
		return supervise.Jail{}, err
	}
	born, err := supervise.ProcessStartTicks(id.ID)
	if err != nil || born != id.StartTicks {
		return supervise.Jail{}, fmt.Errorf("jail %s: its first process is gone: %w", name, fs.ErrNotExist)
	}
	id.Cgroups = j.limiter.dirs(ofPot(name))
	id.Cgroups = append(id.Cgroups, topGroups(id.Cgroups)...)
	return id, nil
}

// removeTimeout bounds the wait for killed processes: an uninterruptible system call may
// take its time.
const removeTimeout = 30 * time.Second

// Remove implements pot.Jails.Remove. When the first process of a PID namespace is killed,
// the kernel kills all others, and the first is not gone before they are
// (pid_namespaces(7)).
func (j jails) Remove(ctx context.Context, name pot.Name) error {
	id, err := j.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(j.path(name)) // also a damaged file: no process belongs to it
	}
	if err != nil {
		return err
	}
	if err := killProcess(ctx, id); err != nil {
		return fmt.Errorf("remove jail %s: %w", name, err)
	}
	if err := os.Remove(j.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// killProcess kills the process that id identifies, if it still runs, and waits for its
// end.
func killProcess(ctx context.Context, id supervise.Jail) error {
	fd, err := unix.PidfdOpen(id.ID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	if born, err := supervise.ProcessStartTicks(id.ID); err != nil || born != id.StartTicks {
		return nil // the process is gone and its ID was reused
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	deadline := time.Now().Add(removeTimeout)
	for {
		// A pidfd is readable when its process has ended (pidfd_open(2)).
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("poll", err)
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(deadline):
			return fmt.Errorf("processes were killed but have not ended in %s", removeTimeout)
		}
	}
}
