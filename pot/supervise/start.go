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

// reply is what a supervisor answers, once: the command runs, or why not.
type reply struct {
	Running Running `json:"running"`
	Fault   string  `json:"fault,omitempty"`
}

// Start makes a supervisor out of the program at binary, and returns when its
// command runs. After an error neither is there. t.Dir must exist and hold no
// earlier command's records. Start itself does not look into the jail: what is
// wrong with the command comes back as the error.
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
	case r.Fault != "":
		return Running{}, errors.New(r.Fault)
	}
	return r.Running, nil
}

// handshake starts cmd, tells it what is asked and takes its reply. Until then
// the process ends with ctx; afterwards it is on its own, and is waited for
// only so that it does not stay a zombie.
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
	stdout.Close() // now: what is open here, every later start copies and closes
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
