//go:build linux

package linux

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/linux/inside"
	"nomad-driver-pot/pot/supervise"
)

// jails are namespaces, held by a first process each (package inside). Which
// process that is stands in DIR/NAME before the process does anything.
type jails struct {
	dir        string
	supervisor string
	limiter    *limiter
	networks   *networks
}

func (j jails) path(name pot.Name) string { return filepath.Join(j.dir, string(name)) }

// createTimeout bounds the making of a jail: a few mounts and a process.
const createTimeout = 20 * time.Second

// Create is pot.Jails'.
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
	return j.hold(ctx, jail)
}

// supported is an error for what only FreeBSD's jails have. How a pot is stopped and
// what is mounted in it are no affairs of its jail.
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

// hold starts the first process, writes down which it is, and has it make the
// jail. If this process is gone before that is written, so is the other: its
// config never comes.
func (j jails) hold(ctx context.Context, jail pot.Jail) error {
	cmd := exec.Command(bareProgram, "jail")
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	ns, linked := j.networks.take(jail.Name)
	switch {
	case linked:
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
	cmd.Stderr = null // by itself cmd would open it where there is none
	if err := oneBare.within(ns, jail.Root, j.supervisor, cmd.Start); err != nil {
		return fmt.Errorf("start first process: %w", err)
	}
	onTime := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer onTime()
	answered := make(chan struct{})
	go func() {
		<-answered // Wait closes the pipe that the answer comes by
		cmd.Wait()
	}()
	defer close(answered)

	born, err := supervise.ProcessStartTicks(cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := j.write(jail.Name, supervise.Jail{ID: cmd.Process.Pid, StartTicks: born}); err != nil {
		cmd.Process.Kill()
		return err
	}
	if err := connect(cmd.Process.Pid, jail, linked); err != nil {
		return err
	}
	err = json.NewEncoder(stdin).Encode(inside.Config{Root: bareRoot, Hostname: jail.Hostname})
	if err = errors.Join(err, stdin.Close()); err != nil {
		return err
	}
	answer, err := bufio.NewReader(stdout).ReadString('\n')
	stdout.Close() // now: what is open here, every later start copies and closes
	switch {
	case !onTime(): // killed, or about to be, whatever it has answered
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("first process: no answer: %w", err)
	case strings.TrimSpace(answer) != inside.Ready:
		return errors.New(strings.TrimSpace(answer))
	}
	return nil
}

func (j jails) write(name pot.Name, id supervise.Jail) error {
	data, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("internal error: encode jail: %w", err)
	}
	return replaceFile(j.path(name), data)
}

// read is what write wrote, whether the jail is still there or not.
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

// Find is pot.Jails'.
func (j jails) Find(ctx context.Context, name pot.Name) (supervise.Jail, error) {
	id, err := j.read(name)
	if err != nil {
		return supervise.Jail{}, err
	}
	born, err := supervise.ProcessStartTicks(id.ID)
	if err != nil || born != id.StartTicks {
		return supervise.Jail{}, fmt.Errorf("jail %s: its first process is gone: %w", name, fs.ErrNotExist)
	}
	id.Cgroups = j.limiter.dirs(name)
	id.Cgroups = append(id.Cgroups, topGroups(id.Cgroups)...)
	return id, nil
}

// removeTimeout bounds the wait for killed processes: one in a system call that
// cannot be interrupted may take its time.
const removeTimeout = 30 * time.Second

// Remove is pot.Jails'. The kernel kills the processes of a namespace with its
// first, and that one is not gone before they are.
func (j jails) Remove(ctx context.Context, name pot.Name) error {
	id, err := j.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(j.path(name)) // a file that is damaged stands for nothing
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

// killProcess kills the process that id names, if it is there, and waits for
// its end.
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
		return nil // the ID was given away again
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
