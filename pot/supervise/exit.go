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

// How an exit is told while it cannot be written down: through the alive fifo, which needs
// no disk, in messages of one size. announceBytes is at most PIPE_BUF (512 on FreeBSD, limits.h),
// so each is read whole. There are announceAhead of them, for that many who ask at once.
const (
	announceBytes = 256
	announceAhead = 8
)

// Bounds on the attempts to write an exit record.
const (
	recordEvery   = time.Second           // a disk may be full for days
	announceEvery = 20 * time.Millisecond // whoever asks gets an answer
)

// recordExit writes how the command ended, again and again while the disk does not take
// it, and tells all who ask meanwhile. It goes on, without a bound, until there is nothing
// to write it for: the pot is destroyed, and its directory with it.
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

// announceExit tells how the command ended to all who ask until a time.
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

// readAnnounced waits for what a supervisor tells by its alive fifo. It tells nothing if the
// exit is written down.
func readAnnounced(alive io.Reader) (exit Exit, told bool, err error) {
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

// Forget has a supervisor whose command has ended, and that cannot write down how, go
// without that, and waits for its end: nobody will ask any more.
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

// goneTimeout is how long a supervisor that has let go of everything may take to be gone.
const goneTimeout = time.Second

// waitGone waits for the end of a supervisor's process, which still has its log open. One
// that goes on for longer waits for the readers of its command's output.
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

// ended reports whether the supervisor tells how the command ended: the record of that is
// not written yet.
func (s *Supervised) ended() bool {
	alive, err := os.OpenFile(filepath.Join(s.dir, aliveFifo), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer alive.Close()
	conn, err := alive.SyscallConn()
	return err == nil && bufferedBytes(conn) > 0
}
