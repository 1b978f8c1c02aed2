package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
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

	// By is the path of a pot-supervisor that enters the jail in this process's place. A
	// caller that may have a directory open must set it; the supervisor itself, which has
	// none, need not.
	By string
}

// defaultPath is where commands are looked for when the environment does not
// say: FreeBSD's _PATH_DEFPATH (paths.h) with the directories for root.
const defaultPath = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

// Start starts p in its jail. The caller waits for the process. A command that
// is not in the jail is fs.ErrNotExist.
//
// All commands in jails are started here: tasks', pots' started by hand, and more
// commands in them. The command has p.Stdin, p.Stdout and p.Stderr and no other
// descriptor, whatever this process has.
func (p *Process) Start() (*os.Process, error) {
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		return nil, errors.New("no command to start")
	}
	if err := inheritNothing(); err != nil {
		return nil, err
	}
	p.giveStreams()
	if p.By != "" && processesEnter {
		return p.startBy(p.By)
	}
	if err := p.checkAlone(); err != nil {
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

// checkAlone checks that the process that enters the jail has no directory open. Where
// p.By is to enter and a thread of this process does, in effect, what p.By would, the
// rest of this process does not count.
func (p *Process) checkAlone() error {
	if p.By != "" {
		return checkNoDirectoryIn([]*os.File{p.Stdin, p.Stdout, p.Stderr})
	}
	return checkNoDirectory()
}

// inheritNothing makes what a command inherits independent of how this process was
// started. It is called before each start, on every host.
func inheritNothing() error {
	heed()
	return SealDescriptors()
}

// heed has no command ignore what this process was started to ignore, as by nohup(1):
// what is ignored stays so in whatever is executed, what is caught does not. Go leaves
// these two ignored, and catches the others (os/signal, "Default behavior of signals").
func heed() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// startFirst starts the first candidate for the command that is there.
func (p *Process) startFirst(attr *os.ProcAttr) (process *os.Process, err error) {
	first := true
	err = p.each(attr.Dir, func(path string) error {
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

// each tries candidates until one is there. It is the kernel that looks, from within
// the jail: a path means what it means there.
func (p *Process) each(dir string, try func(path string) error) error {
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
