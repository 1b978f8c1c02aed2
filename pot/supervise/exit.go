package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// While the exit record cannot be written, the supervisor announces the exit through the
// alive fifo, which needs no disk. A message has announceBytes, at most PIPE_BUF (512 on
// FreeBSD, limits.h), so that each is read whole. announceAhead messages are kept in the
// fifo, for as many readers at a time.
const (
	announceBytes = 256
	announceAhead = 8
)

// Intervals of the attempts to write an exit record.
const (
	recordEvery   = time.Second           // the disk may be full for days
	announceEvery = 20 * time.Millisecond // a reader waits no longer for its message
)

// recordExit writes the exit record. While the disk is full it tries again without a bound
// and announces the exit to readers meanwhile. It gives up when the pot is destroyed, and
// the directory with it, or when a forget request comes.
func (s *supervisor) recordExit(exit Exit) error {
	var last error
	for {
		err := writeRecord(s.task.Dir, exitFile, exit)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if last == nil || last.Error() != err.Error() {
			fmt.Fprintf(os.Stderr, "write exit record, tried again: %v\n", err)
		}
		last = err
		if err := s.announceExit(exit, time.Now().Add(recordEvery)); err != nil {
			return err
		}
		if s.forgotten.Load() {
			return last
		}
	}
}

// announceExit keeps the alive fifo filled with messages about the exit until a time or a
// forget request.
func (s *supervisor) announceExit(exit Exit, until time.Time) error {
	message, err := json.Marshal(exit)
	if err != nil {
		return fmt.Errorf("internal error: encode exit: %w", err)
	}
	message = append(message, bytes.Repeat([]byte(" "), max(announceBytes-len(message), 0))...)
	conn, err := s.alive.SyscallConn()
	if err != nil {
		return err
	}
	for time.Now().Before(until) && !s.forgotten.Load() {
		for n := bufferedBytes(conn) / announceBytes; n < announceAhead; n++ {
			conn.Control(func(fd uintptr) { syscall.Write(int(fd), message) })
		}
		time.Sleep(announceEvery)
	}
	return nil
}

// readAnnounced waits for a message of announceExit. announced is false if the supervisor
// closed the fifo without one: the exit record is on disk.
func readAnnounced(alive io.Reader) (exit Exit, announced bool, err error) {
	message := make([]byte, announceBytes)
	for {
		_, err := io.ReadFull(alive, message)
		switch {
		case errors.Is(err, io.EOF):
			return Exit{}, false, nil
		case err != nil:
			return Exit{}, false, err
		case json.Unmarshal(message, &exit) == nil:
			return exit, true, nil
		}
	}
}

// Forget has a supervisor that cannot write its exit record stop trying, and waits for its
// end. It is for a pot that is being destroyed: nobody will read the record. It returns nil
// if the supervisor is gone.
func (s *Supervised) Forget(ctx context.Context) error {
	alive, err := os.OpenFile(filepath.Join(s.dir, aliveFifo), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer alive.Close()
	stop := context.AfterFunc(ctx, func() { alive.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	control, err := s.control()
	if errors.Is(err, ErrEnded) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(control, forgetRequest)
	control.Close()
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, alive); err != nil {
		return err
	}
	s.waitGone(ctx)
	return nil
}

// goneTimeout is how long Forget waits for the process of a supervisor that has closed its
// fifos.
const goneTimeout = time.Second

// waitGone waits, at most goneTimeout, for the end of the supervisor's process, which has
// its log open until then. A supervisor that takes longer waits for readers of the
// command's output.
func (s *Supervised) waitGone(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, goneTimeout)
	defer cancel()
	if s.Supervisor <= 0 {
		return
	}
	for ctx.Err() == nil && !errors.Is(syscall.Kill(s.Supervisor, 0), syscall.ESRCH) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
}

// ended reports whether the supervisor announces the command's exit: the command has ended
// and the record is not on disk yet. It may return false for announceEvery after readers
// have taken all announcements.
func (s *Supervised) ended() bool {
	alive, err := os.OpenFile(filepath.Join(s.dir, aliveFifo), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer alive.Close()
	conn, err := alive.SyscallConn()
	return err == nil && bufferedBytes(conn) > 0
}
