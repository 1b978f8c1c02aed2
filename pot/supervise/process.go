package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Process is a command that is started in a jail.
type Process struct {
	Jail     Jail
	Argv     []string
	Env      []string
	Dir      string // in the jail, "" for /
	Identity Identity

	Stdin, Stdout, Stderr *os.File

	// Terminal makes Stdin the process's controlling terminal.
	Terminal bool

	// Supervisor is the path of a pot-supervisor that becomes the command. Without it this
	// process starts the command itself: then resetInherited changes part of the state of
	// this process too, and this process must not have a directory open. Only a supervisor
	// leaves it empty.
	Supervisor string
}

// DefaultPath is the PATH of an environment without one: FreeBSD's _PATH_DEFPATH (paths.h)
// with the directories for root.
const DefaultPath = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

// Start starts p in its jail. The caller must wait for the process. It returns
// fs.ErrNotExist if the command is not in the jail.
//
// All commands in jails are started here: tasks, pots started by hand, and further commands
// in both. The command has the descriptors p.Stdin, p.Stdout and p.Stderr and no others,
// whatever this process has open. Its other inherited state is what resetInherited sets.
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
		attr.Env = []string{} // nil would pass the supervisor's environment
	}
	var process *os.Process
	err := p.Jail.enter(attr, func() (err error) {
		process, err = p.startFirst(attr)
		return err
	})
	return process, err
}

// checkStrings rejects strings with a NUL byte, where execve(2) would end them. The error
// names a variable without its value.
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

// startFirst starts the first candidate that exists.
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

// eachCandidate calls try with candidates until one exists. The kernel resolves the path
// inside the jail, so that it means what it means to the pot. dir is the working directory,
// for the error.
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
			// of the program or of the directory: execve(2) and chdir(2) have the same errors
		default:
			return commandError{fmt.Errorf("start %s: %w", path, cause(err)), ErrNotExecutable}
		}
	}
	if refused != nil {
		return commandError{fmt.Errorf("start %s: %w", p.Argv[0], cause(refused)), ErrNotExecutable}
	}
	if dir != "/" {
		return notInPot("start %s in %s: one of them is not in the pot", p.Argv[0], dir)
	}
	return notInPot("start %s: not in the pot", p.Argv[0])
}

// Errors of a command that could not be started, by what is wrong with the command itself. A
// shell has the statuses 127 and 126 for them.
var (
	ErrNotInPot      = errors.New("the command is not in the pot")
	ErrNotExecutable = errors.New("the command cannot be executed")
)

// commandError is an error with one of these kinds.
type commandError struct {
	error
	kind error
}

func (e commandError) Unwrap() []error { return []error{e.error, e.kind} }

// notInPot returns an error that is ErrNotInPot and fs.ErrNotExist.
func notInPot(text string, args ...any) error {
	return commandError{fmt.Errorf(text+": %w", append(args, fs.ErrNotExist)...), ErrNotInPot}
}

// candidates returns the paths at which the command may be, in order.
func (p *Process) candidates() []string {
	name := p.Argv[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path := DefaultPath
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

// cause returns what is wrong without the words that os.StartProcess puts around it.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
