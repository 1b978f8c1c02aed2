package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Process is a command to be started in a jail.
type Process struct {
	Jail     Jail
	Argv     []string
	Env      []string
	Dir      string // in the jail, "" for /
	Identity Identity

	Stdin, Stdout, Stderr *os.File

	// Terminal makes Stdin the process's controlling terminal.
	Terminal bool

	// Supervisor is the path of a pot-supervisor that becomes the command. Without it this process
	// starts the command itself: what is set for the command (see inherit) is then set for
	// this process as well, in part, and it must not have a directory open. That is for
	// the supervisor alone.
	Supervisor string
}

// defaultPath is where commands are looked for when the environment does not
// say: FreeBSD's _PATH_DEFPATH (paths.h) with the directories for root.
const defaultPath = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

// Start starts p in its jail. The caller waits for the process. A command that
// is not in the jail is fs.ErrNotExist.
//
// All commands in jails are started here: tasks', pots' started by hand, and more
// commands in them. The command has p.Stdin, p.Stdout and p.Stderr and no other
// descriptor, whatever this process has, and what else it inherits is what inherit says.
func (p *Process) Start() (*os.Process, error) {
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		return nil, errors.New("no command to start")
	}
	if err := p.checkStrings(); err != nil {
		return nil, err
	}
	if err := SealDescriptors(); err != nil {
		return nil, err
	}
	p.chownStreams()
	if p.Supervisor != "" {
		return p.startBySupervisor(p.Supervisor)
	}
	if err := checkNoDirectory(); err != nil {
		return nil, err
	}
	attr := &os.ProcAttr{
		Dir:   p.Dir,
		Env:   p.Env,
		Files: []*os.File{p.Stdin, p.Stdout, p.Stderr},
		Sys: &syscall.SysProcAttr{
			Setsid:  true,
			Setctty: p.Terminal,
			Credential: &syscall.Credential{
				Uid: p.Identity.UID, Gid: p.Identity.GID, Groups: p.Identity.Groups,
			},
		},
	}
	if attr.Dir == "" {
		attr.Dir = "/"
	}
	if attr.Env == nil {
		attr.Env = []string{} // nil would mean the supervisor's own
	}
	var process *os.Process
	err := p.Jail.enter(attr, func() (err error) {
		process, err = p.startFirst(attr)
		return err
	})
	return process, err
}

// checkStrings returns an error that names a string which no command can be given: all of
// them end at their first NUL (execve(2)). A variable is named without its value.
func (p *Process) checkStrings() error {
	const rule = "must not have a NUL byte in it: no command can be given one"
	for i, arg := range p.Argv {
		if strings.IndexByte(arg, 0) >= 0 {
			return fmt.Errorf("argument %d of the command, %.200q: %s", i, arg, rule)
		}
	}
	for _, kv := range p.Env {
		if strings.IndexByte(kv, 0) >= 0 {
			name, _, _ := strings.Cut(kv, "=")
			return fmt.Errorf("environment variable %.200q: %s", name, rule)
		}
	}
	if strings.IndexByte(p.Dir, 0) >= 0 {
		return fmt.Errorf("working directory %.200q: %s", p.Dir, rule)
	}
	return nil
}

// startFirst starts the first candidate for the command that is there.
func (p *Process) startFirst(attr *os.ProcAttr) (process *os.Process, err error) {
	first := true
	err = p.eachCandidate(attr.Dir, func(path string) error {
		if !first && p.Terminal {
			close, err := reopenTerminal(attr)
			if err != nil {
				return err
			}
			defer close()
		}
		first = false
		var err error
		process, err = os.StartProcess(path, p.Argv, attr)
		return err
	})
	return process, err
}

// eachCandidate tries candidates until one is there. It is the kernel that looks, from within
// the jail: a path means what it means there.
func (p *Process) eachCandidate(dir string, try func(path string) error) error {
	var refused error
	for _, path := range p.candidates() {
		err := try(path)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EACCES):
			refused = err
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			// or the directory is missing: execve(2) and chdir(2) say the same
		default:
			return fmt.Errorf("start %s: %w", path, cause(err))
		}
	}
	if refused != nil {
		return fmt.Errorf("start %s: %w", p.Argv[0], cause(refused))
	}
	if dir != "/" {
		return fmt.Errorf("start %s in %s: one of them is not in the pot: %w", p.Argv[0], dir, fs.ErrNotExist)
	}
	return fmt.Errorf("start %s: not in the pot: %w", p.Argv[0], fs.ErrNotExist)
}

// candidates are the paths that the command may be at.
func (p *Process) candidates() []string {
	name := p.Argv[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path := defaultPath
	for _, kv := range p.Env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok && v != "" {
			path = v
		}
	}
	var all []string
	for dir := range strings.SplitSeq(path, ":") {
		if strings.HasPrefix(dir, "/") { // never the current directory
			all = append(all, strings.TrimSuffix(dir, "/")+"/"+name)
		}
	}
	return all
}

// cause is what is wrong, without os.StartProcess's own words around it.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
