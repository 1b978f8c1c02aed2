package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Supervised is a command that was started, seen from outside. It may be
// opened any number of times, by any process of root's.
type Supervised struct {
	Running
	dir string
}

// Open finds the command whose supervisor keeps its records in dir. One that
// was never started is fs.ErrNotExist.
func Open(dir string) (*Supervised, error) {
	s := &Supervised{dir: dir}
	if err := readRecord(dir, runningFile, &s.Running); err != nil {
		return nil, err
	}
	return s, nil
}

// Wait returns how the command ended, when it has. It may be called at any
// time, any number of times. A supervisor that is gone without a record is
// ErrUnknownExit.
func (s *Supervised) Wait(ctx context.Context) (Exit, error) {
	alive, err := os.OpenFile(filepath.Join(s.dir, aliveFifo), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Exit{}, err
	}
	defer alive.Close()
	stop := context.AfterFunc(ctx, func() { alive.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	// The supervisor alone has the fifo open for writing, and writes to it only how
	// the command ended, while the disk takes no record of that. Its end is
	// the end of the file, whether it ended well or was killed. One
	// that ended before is asked for: FreeBSD has a fifo that nobody writes to
	// end only for those who had it open when the last writer left
	// (sys/fs/fifofs/fifo_vnops.c, fifo_open).
	switch control, err := s.control(); {
	case err == nil:
		control.Close()
		exit, told, err := readAnnounced(alive)
		switch {
		case told:
			return exit, nil
		case ctx.Err() != nil:
			return Exit{}, context.Cause(ctx)
		case err != nil:
			return Exit{}, fmt.Errorf("wait for supervisor: %w", err)
		}
	case !errors.Is(err, ErrEnded):
		return Exit{}, err
	}
	var exit Exit
	err = readRecord(s.dir, exitFile, &exit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Exit{}, s.unknownExit()
	case err != nil:
		return Exit{}, fmt.Errorf("%w that can be read: %w", ErrUnknownExit, err)
	}
	return exit, nil
}

// unknownExit is ErrUnknownExit with the supervisor's last words, if it had any.
func (s *Supervised) unknownExit() error {
	data, err := os.ReadFile(filepath.Join(s.dir, logFile))
	if err != nil || len(data) == 0 {
		return ErrUnknownExit
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	return fmt.Errorf("%w: %.200q", ErrUnknownExit, first)
}

// control is the way to the supervisor, which lets go of it before it lets go
// of the alive fifo. One that has is ErrEnded.
func (s *Supervised) control() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, controlFifo), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, fs.ErrNotExist) {
		return nil, ErrEnded // no reader
	}
	return f, err
}

// Unlisten has the supervisor close the forward that listens there. It does not wait for
// that. A supervisor that is gone is ErrEnded.
func (s *Supervised) Unlisten(f Forward) error {
	return s.send(fmt.Sprintf("%s %s\n", unlistenRequest, f.key()))
}

// Signal has the supervisor send sig to the command, and to it alone. A command
// that has ended is ErrEnded; so is one whose supervisor is gone.
func (s *Supervised) Signal(sig syscall.Signal) error {
	return s.send(fmt.Sprintf("%s %d\n", signalRequest, int(sig)))
}

// send tells the supervisor to do something, in one line.
func (s *Supervised) send(line string) error {
	control, err := s.control()
	if err != nil {
		return err
	}
	defer control.Close()
	if s.ended() {
		return ErrEnded // and is not written down yet
	}
	_, err = io.WriteString(control, line)
	if errors.Is(err, syscall.EPIPE) {
		return ErrEnded
	}
	return err
}
