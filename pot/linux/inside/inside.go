//go:build linux

// Package inside is the first process of a jail on Linux: it makes the jail's
// mount namespace what a jail sees, and then does nothing but exist and take in
// orphans. While it lives, the jail does; when it is killed, the kernel kills
// all that runs in it (pid_namespaces(7)).
//
// It imports the standard library alone: it is part of pot-supervisor.
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

// Config is what the jail is to be.
type Config struct {
	Root     string `json:"root"` // a mount, seen by nobody else
	Hostname string `json:"hostname"`
}

// Ready is answered when the jail is made; anything else is why not.
const Ready = "ready"

const maxConfig = 64 << 10

// Run is the whole life of the process, which was started in namespaces of its
// own. It reads a Config, and answers on stdout. It ends only when it is
// killed, or when its config does not come: whoever started it is gone.
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

// reap waits for every child that has ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// make makes the namespaces what c says.
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
	// Not pivot_root(2), which looks at every thread of the machine. What is under
	// the new root has no name for anybody here.
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

// mountOn mounts on a directory of the image, which is made if it is missing
// and refused if it is a link.
func mountOn(root *os.Root, name, source, fstype string, flags uintptr, options string) (string, error) {
	if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	if info, err := root.Lstat(name); err != nil || !info.IsDir() {
		return "", errors.Join(err, fmt.Errorf("/%s is no directory in the image", name))
	}
	path := filepath.Join(root.Name(), name)
	if err := syscall.Mount(source, path, fstype, flags, options); err != nil {
		return "", fmt.Errorf("mount %s on /%s: %w", fstype, name, err)
	}
	return path, nil
}

// What proc(5) lets root do to the machine is read-only in a jail, and what
// tells of it is empty.
var (
	readOnlyProc = []string{"bus", "fs", "irq", "sys", "sysrq-trigger"}
	maskedProc   = []string{"kcore", "keys", "timer_list", "latency_stats", "sched_debug"}
)

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
// (/etc/defaults/devfs.rules), leaves a jail, by Linux's numbers
// (admin-guide/devices.txt).
var devices = []struct {
	name         string
	major, minor int
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

// links of dev that FreeBSD's fdescfs and Linux's programs expect.
var devLinks = map[string]string{
	"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	"ptmx": "pts/ptmx",
}

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
