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

// Supervised is a command that was started, as other processes see it. Any process of root
// may open it, any number of times.
type Supervised struct {
	Running
	dir string
}

// Open opens the command whose supervisor keeps its records in dir. It returns
// fs.ErrNotExist if no command was started there.
func Open(dir string) (*Supervised, error) {
	s := &Supervised{dir: dir}
	if err := readRecord(dir, runningFile, &s.Running); err != nil {
		return nil, err
	}
	return s, nil
}

// Wait waits for the command's end and returns how it ended. It may be called any number of
// times, also long after the end. It returns ErrUnknownExit if the supervisor ended without
// a record.
func (s *Supervised) Wait(ctx context.Context) (Exit, error) {
	alive, err := os.OpenFile(filepath.Join(s.dir, aliveFifo), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Exit{}, err
	}
	defer alive.Close()
	stop := context.AfterFunc(ctx, func() { alive.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	// Only the supervisor has the fifo open for writing. It writes to it only while the
	// disk takes no exit record (announceExit). When the supervisor ends, even if it is
	// killed, the fifo is at its end. The control fifo shows whether a supervisor still
	// lives: on FreeBSD a fifo without writers is at its end only for a reader that had it
	// open when the last writer left (sys/fs/fifofs/fifo_vnops.c, fifo_open).
	switch control, err := s.control(); {
	case err == nil:
		control.Close()
		exit, announced, err := readAnnounced(alive)
		switch {
		case announced:
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

// unknownExit returns ErrUnknownExit with the first line of the supervisor's log, if it has
// one.
func (s *Supervised) unknownExit() error {
	data, err := os.ReadFile(filepath.Join(s.dir, logFile))
	if err != nil || len(data) == 0 {
		return ErrUnknownExit
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	return fmt.Errorf("%w: %.200q", ErrUnknownExit, first)
}

// control opens the supervisor's control fifo for writing. A supervisor closes it before
// the alive fifo. It returns ErrEnded if the supervisor has closed it.
func (s *Supervised) control() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, controlFifo), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, fs.ErrNotExist) {
		return nil, ErrEnded // no reader
	}
	return f, err
}

// Unlisten has the supervisor close the forward that listens at f.Listen. It does not wait
// until that is done. It returns ErrEnded if the supervisor is gone.
func (s *Supervised) Unlisten(f Forward) error {
	return s.send(fmt.Sprintf("%s %s\n", unlistenRequest, f.key()))
}

// Signal has the supervisor send sig to the command's process only, not to its children. It
// returns ErrEnded if the command has ended or its supervisor is gone.
func (s *Supervised) Signal(sig syscall.Signal) error {
	return s.send(fmt.Sprintf("%s %d\n", signalRequest, int(sig)))
}

// send writes one request, a line, to the supervisor.
func (s *Supervised) send(line string) error {
	control, err := s.control()
	if err != nil {
		return err
	}
	defer control.Close()
	if s.ended() {
		return ErrEnded // although the record is not on disk yet
	}
	_, err = io.WriteString(control, line)
	if errors.Is(err, syscall.EPIPE) {
		return ErrEnded
	}
	return err
}
