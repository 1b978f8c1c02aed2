//go:build linux

// Package inside is the first process of a jail on Linux. It sets up the jail's mounts,
// devices and host name, and then only reaps orphans. The jail exists as long as this
// process: when it is killed, the kernel kills all other processes in the jail
// (pid_namespaces(7)).
//
// It does not create the namespaces, and no command runs in it: package linux starts it in
// new namespaces and talks to it through Config and Ready; package supervise starts
// commands beside it. Start reading at Run.
//
// It imports only the standard library: it is part of pot-supervisor.
package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Config describes the jail.
type Config struct {
	Root     string `json:"root"` // a mount point in a private mount namespace
	Hostname string `json:"hostname"`
}

// Ready is the answer once the jail is set up. Any other answer is an error message.
const Ready = "ready"

// maxConfig bounds the encoded Config, in bytes.
const maxConfig = 64 << 10

// Run is the main function of the process. It reads a Config from stdin and answers on
// stdout. It returns only if that fails, or if no Config comes because the process that
// started it is gone; otherwise it runs until it is killed.
func Run(stdin io.Reader, stdout io.WriteCloser) int {
	var c Config
	if err := json.NewDecoder(io.LimitReader(stdin, maxConfig)).Decode(&c); err != nil {
		return 1
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	deaf := make(chan os.Signal, 1)
	signal.Notify(deaf, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE)

	answer, status := Ready, 0
	if err := c.make(); err != nil {
		answer, status = err.Error(), 1
	}
	fmt.Fprintln(stdout, answer)
	stdout.Close()
	for status == 0 {
		select {
		case <-children:
			reap()
		case <-deaf:
		}
	}
	return status
}

// reap waits for all children that have ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// make sets up the jail.
func (c Config) make() error {
	root, err := os.OpenRoot(c.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := mountDev(root); err != nil {
		return err
	}
	if err := mountProc(root); err != nil {
		return err
	}
	// Moving the mount is faster than pivot_root(2), which looks at every thread of the
	// machine. No path leads to what is below the new root.
	if err := os.Chdir(c.Root); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move root: %w", err)
	}
	if err := syscall.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(c.Hostname)); err != nil {
		return fmt.Errorf("set hostname: %w", err)
	}
	return nil
}

// mountOn mounts a file system on a directory of the image. It creates the directory if it
// is missing and refuses a symbolic link. It returns the mount's path.
func mountOn(root *os.Root, name, source, fstype string, flags uintptr, options string) (string, error) {
	if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	if info, err := root.Lstat(name); err != nil || !info.IsDir() {
		return "", errors.Join(err, fmt.Errorf("/%s is not a directory in the image", name))
	}
	path := filepath.Join(root.Name(), name)
	if err := syscall.Mount(source, path, fstype, flags, options); err != nil {
		return "", fmt.Errorf("mount %s on /%s: %w", fstype, name, err)
	}
	return path, nil
}

// Files of proc(5) through which root can change the machine are read-only in a jail;
// those that reveal the machine's memory and keys are masked.
var (
	readOnlyProc = []string{"bus", "fs", "irq", "sys", "sysrq-trigger"}
	maskedProc   = []string{"kcore", "keys", "timer_list", "latency_stats", "sched_debug"}
)

// mountProc mounts procfs, with parts of it read-only or masked.
func mountProc(root *os.Root) error {
	proc, err := mountOn(root, "proc", "proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "")
	if err != nil {
		return err
	}
	for _, name := range readOnlyProc {
		path := filepath.Join(proc, name)
		err := syscall.Mount(path, path, "", syscall.MS_BIND|syscall.MS_REC, "")
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		const flags = syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
		if err == nil {
			err = syscall.Mount("", path, "", flags, "")
		}
		if err != nil {
			return fmt.Errorf("protect /proc/%s: %w", name, err)
		}
	}
	for _, name := range maskedProc {
		err := syscall.Mount(filepath.Join(root.Name(), os.DevNull), filepath.Join(proc, name), "", syscall.MS_BIND, "")
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("mask /proc/%s: %w", name, err)
		}
	}
	return nil
}

// devices are those that FreeBSD's devfs ruleset 4, devfsrules_jail
// (/etc/defaults/devfs.rules), leaves to a jail, by Linux's numbers
// (admin-guide/devices.txt).
var devices = []struct {
	name         string
	major, minor int
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

// devLinks are the links in /dev that FreeBSD's fdescfs has, or that Linux programs expect.
var devLinks = map[string]string{
	"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	"ptmx": "pts/ptmx",
}

// mountDev mounts a small /dev with devices, devLinks, pts and shm.
func mountDev(root *os.Root) error {
	dev, err := mountOn(root, "dev", "devfs", "tmpfs", syscall.MS_NOSUID|syscall.MS_NOEXEC, "mode=755,size=64k")
	if err != nil {
		return err
	}
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, d := range devices {
		if err := syscall.Mknod(filepath.Join(dev, d.name), syscall.S_IFCHR|0o666, d.major<<8|d.minor); err != nil {
			return fmt.Errorf("make /dev/%s: %w", d.name, err)
		}
	}
	for name, to := range devLinks {
		if err := os.Symlink(to, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	in, err := os.OpenRoot(dev)
	if err != nil {
		return err
	}
	defer in.Close()
	const flags = syscall.MS_NOSUID | syscall.MS_NOEXEC
	if _, err := mountOn(in, "pts", "devpts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return err
	}
	_, err = mountOn(in, "shm", "shm", "tmpfs", flags|syscall.MS_NODEV, "mode=1777,size=64m")
	return err
}
