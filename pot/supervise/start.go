package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"nomad-driver-pot/pot/exact"
)

// reply is the supervisor's only answer: the command runs, or the reason why it does not.
type reply struct {
	Running Running `json:"running"`
	Problem string  `json:"fault,omitempty"`
}

// Start starts the program at binary as a supervisor for t and returns once the command
// runs. If it returns an error, neither the supervisor nor the command is left.
//
// t.Dir must exist and must not hold records of an earlier command. Start does not look
// into the jail itself: an error of the command, such as a missing program, comes from the
// supervisor.
func Start(ctx context.Context, binary string, t Task) (Running, error) {
	for _, name := range []string{aliveFifo, controlFifo} {
		if err := syscall.Mkfifo(filepath.Join(t.Dir, name), 0o600); err != nil {
			return Running{}, &os.PathError{Op: "mkfifo", Path: filepath.Join(t.Dir, name), Err: err}
		}
	}
	asked, err := exact.Marshal(t)
	if err != nil {
		return Running{}, fmt.Errorf("internal error: encode task: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(t.Dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return Running{}, err
	}
	defer log.Close()

	name, files, err := executable(binary, make([]*os.File, firstExtra))
	if err != nil {
		return Running{}, fmt.Errorf("%s run: %w", binary, err)
	}
	extra := files[firstExtra:]
	defer closeFiles(extra)
	cmd := exec.Command(name)
	cmd.Args = []string{binary, "run"}
	cmd.ExtraFiles = extra
	cmd.Dir = "/"
	cmd.Env = []string{} // not the caller's: it may hold the agent's secrets
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r, err := handshake(ctx, cmd, asked)
	switch {
	case err != nil:
		return Running{}, fmt.Errorf("%s run: %w", binary, err)
	case r.Problem != "":
		return Running{}, errors.New(r.Problem)
	}
	return r.Running, nil
}

// handshake starts cmd, sends it the encoded task and returns its reply. Until the reply
// has come, the process is killed when ctx ends. Afterwards it lives on its own; it is
// waited for only so that it does not become a zombie.
func handshake(ctx context.Context, cmd *exec.Cmd, asked []byte) (reply, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return reply{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return reply{}, err
	}
	if err := cmd.Start(); err != nil {
		return reply{}, cause(err)
	}
	onTime := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	_, err = stdin.Write(asked)
	err = errors.Join(err, stdin.Close())
	var r reply
	if err == nil {
		err = json.NewDecoder(io.LimitReader(stdout, maxRecord)).Decode(&r)
	}
	stdout.Close() // now: a descriptor that is open here is copied and closed by each later start
	if !onTime() {
		err = context.Cause(ctx)
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return reply{}, err
	}
	go cmd.Wait()
	return r, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
