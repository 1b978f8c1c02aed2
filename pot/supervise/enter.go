package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"nomad-driver-pot/pot/exact"
)

// enterRequest is what a pot-supervisor reads that is started to become a command in a
// jail. Its JSON is a wire format, as Task's is.
type enterRequest struct {
	Jail     Jail     `json:"jail"`
	Argv     []string `json:"argv"`
	Env      []string `json:"env"`
	Dir      string   `json:"dir"`
	Identity Identity `json:"identity"`
}

// enterProblem is its answer if it cannot execute the command. There is no answer if it can.
type enterProblem struct {
	Problem string `json:"fault"`
	Missing bool   `json:"missing"` // the command is not in the jail
	Refused bool   `json:"refused"` // it is there, and cannot be executed
}

// Descriptors of a pot-supervisor that becomes a command, after the command's three.
const (
	enterRequestFD = firstExtra
	enterFaultFD   = firstExtra + 1
	enterPassed    = firstExtra + 2 // the number of descriptors it is started with
)

// startBySupervisor starts program, a pot-supervisor, which becomes the command. Unlike
// this process, it has no directory open, and all of its state can be set to what the
// command inherits.
func (p *Process) startBySupervisor(program string) (*os.Process, error) {
	asked, err := exact.Marshal(enterRequest{Jail: p.Jail, Argv: p.Argv, Env: p.Env, Dir: p.Dir, Identity: p.Identity})
	if err != nil {
		return nil, fmt.Errorf("internal error: encode command: %w", err)
	}
	theirs, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer tell.Close()
	said, say, err := os.Pipe()
	if err != nil {
		theirs.Close()
		return nil, err
	}
	defer said.Close()
	process, err := p.startEnter(program, theirs, say)
	theirs.Close()
	say.Close()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Argv[0], cause(err))
	}
	_, err = tell.Write(asked)
	err = errors.Join(err, tell.Close())
	answer, unread := io.ReadAll(io.LimitReader(said, maxRecord)) // ends when the command is executed
	if err = errors.Join(err, unread); err == nil && len(answer) == 0 {
		return process, nil
	}
	process.Kill()
	process.Wait()
	var fault enterProblem
	switch {
	case len(answer) == 0:
		return nil, fmt.Errorf("start %s: %w", p.Argv[0], err)
	case json.Unmarshal(answer, &fault) != nil:
		return nil, fmt.Errorf("start %s: %q", p.Argv[0], answer)
	case fault.Missing:
		return nil, commandError{notFoundError{fault.Problem}, ErrNotInPot}
	case fault.Refused:
		return nil, commandError{errors.New(fault.Problem), ErrNotExecutable}
	}
	return nil, errors.New(fault.Problem)
}

// startEnter starts program in mode enter, with the pipes for its request and its answer.
func (p *Process) startEnter(program string, theirs, say *os.File) (process *os.Process, err error) {
	passed := []*os.File{p.Stdin, p.Stdout, p.Stderr, theirs, say}
	name, files, err := executable(program, passed)
	if err != nil {
		return nil, err
	}
	defer closeFiles(files[len(passed):])
	err = p.Jail.inPIDNamespace(func() (err error) {
		process, err = os.StartProcess(name, []string{program, "enter"}, &os.ProcAttr{
			Dir: "/", Env: []string{}, Files: files,
			Sys: &syscall.SysProcAttr{Setsid: true, Setctty: p.Terminal},
		})
		return err
	})
	return process, err
}

// notFoundError says that a command is not in the jail. It is fs.ErrNotExist.
type notFoundError struct{ text string }

func (m notFoundError) Error() string        { return m.text }
func (m notFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Enter is the main function of a pot-supervisor that becomes a command in a jail. It
// returns only if that fails, with the exit status of the process.
func Enter() int {
	runtime.LockOSThread() // resetInherited, and on Linux attach, change the calling thread
	in, out := os.NewFile(enterRequestFD, "command"), os.NewFile(enterFaultFD, "fault")
	syscall.CloseOnExec(enterFaultFD)
	var e enterRequest
	err := preventTracing()
	if err == nil {
		err = CloseInherited(enterPassed)
	}
	if err == nil {
		err = exact.Decode(io.LimitReader(in, maxTask), &e)
	}
	in.Close()
	if err == nil {
		err = e.exec()
	}
	json.NewEncoder(out).Encode(enterProblem{Problem: err.Error(), Missing: errors.Is(err, fs.ErrNotExist), Refused: errors.Is(err, ErrNotExecutable)})
	return 1
}

// exec executes the command in the jail. It returns only an error.
func (e *enterRequest) exec() error {
	p := &Process{Jail: e.Jail, Argv: e.Argv, Env: e.Env, Dir: e.Dir}
	if len(p.Argv) == 0 {
		return errors.New("no command to start")
	}
	if err := checkNoDirectory(); err != nil {
		return err
	}
	if err := resetInherited(); err != nil {
		return fmt.Errorf("start %s: %w", p.Argv[0], err)
	}
	if err := e.Jail.attach(); err != nil {
		return err
	}
	if err := e.Identity.apply(); err != nil {
		return fmt.Errorf("start %s: %w", p.Argv[0], err)
	}
	if err := preventTracing(); err != nil { // changing the user resets the flag to fs.suid_dumpable (proc(5))
		return fmt.Errorf("start %s: %w", p.Argv[0], err)
	}
	if p.Dir == "" {
		p.Dir = "/"
	}
	if err := os.Chdir(p.Dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return notInPot("start %s in %s: one of them is not in the pot", p.Argv[0], p.Dir)
		}
		return fmt.Errorf("start %s in %s: %w", p.Argv[0], p.Dir, cause(err))
	}
	return p.eachCandidate(p.Dir, func(path string) error { return syscall.Exec(path, p.Argv, p.Env) })
}

// apply sets the user and the groups of this process.
func (i Identity) apply() error {
	groups := make([]int, len(i.Groups))
	for n, g := range i.Groups {
		groups[n] = int(g)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return os.NewSyscallError("setgroups", err)
	}
	if err := syscall.Setgid(int(i.GID)); err != nil {
		return os.NewSyscallError("setgid", err)
	}
	return os.NewSyscallError("setuid", syscall.Setuid(int(i.UID)))
}
