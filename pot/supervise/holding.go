package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// holding stands for the command of a supervisor that has none: a supervisor that only
// holds forwards, for a network that several pots share. Any signal ends it.
type holding struct {
	once  sync.Once
	by    syscall.Signal
	ended chan struct{}
}

func newHolding() *holding { return &holding{ended: make(chan struct{})} }

// signal ends the holding. Signal 0 only asks whether it lasts.
func (h *holding) signal(sig syscall.Signal) {
	if sig == 0 {
		return
	}
	h.once.Do(func() {
		h.by = sig
		close(h.ended)
	})
}

// pid returns the process ID of the command; 0 if there is none.
func (s *supervisor) pid() int {
	if s.holding != nil {
		return 0
	}
	return s.command.Pid
}

// kill kills the command, or ends what stands for it.
func (s *supervisor) kill() {
	if s.holding != nil {
		s.holding.signal(syscall.SIGKILL)
		return
	}
	s.command.Kill()
}

// awaitEnd waits for the end of the command, or of what stands for it.
func (s *supervisor) awaitEnd() (Exit, error) {
	if s.holding != nil {
		<-s.holding.ended
		return Exit{Code: 128 + int(s.holding.by), Signal: int(s.holding.by), Ended: time.Now().UTC()}, nil
	}
	state, err := s.command.Wait()
	if err != nil {
		return Exit{}, err
	}
	return ExitOf(state), nil
}

// End has the supervisor of dir kill its command, or end its holding, and waits for the
// supervisor's end. It needs no record of the supervisor, and does nothing if none is there.
func End(ctx context.Context, dir string) error {
	s := &Supervised{dir: dir}
	err := s.Signal(syscall.SIGKILL)
	if err == nil {
		_, err = s.Wait(ctx)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("end supervisor: %w", context.Cause(ctx))
	}
	if errors.Is(err, ErrEnded) || errors.Is(err, ErrUnknownExit) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Clear removes the records of a supervisor that has ended from dir, so that another can be
// started there. It may be called twice.
func Clear(dir string) error {
	for _, name := range []string{runningFile, exitFile, aliveFifo, controlFifo} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
