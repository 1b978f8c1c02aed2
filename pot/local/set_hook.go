package local

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/tree"
)

// SetHook sets a program that the host runs at some time of the pot's life (set-hook), and
// approves it: whoever may call it is root. As with pot, it can be replaced and not
// removed.
type SetHook struct {
	Hook conf.Hook
	File string // on the host; it is copied
}

// Validate implements Change.Validate.
func (h SetHook) Validate() error {
	_, err := h.read()
	return err
}

// read returns the program. It does not wait for a fifo. It is called twice, by Validate
// and by apply: what is approved is what the second call has read.
func (h SetHook) read() ([]byte, error) {
	f, err := os.OpenFile(h.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, tree.TrimOp(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file", h.File)
	case info.Mode()&0o111 == 0:
		return nil, fmt.Errorf("%s: is not executable", h.File)
	}
	return life.ReadProgram(f, h.File)
}

func (h SetHook) apply(ctx context.Context, s *Pot) error {
	program, err := h.read()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	// The program and its approval must be of one call: two calls at once could approve the
	// one and leave the other.
	unlock, err := lockConf(root)
	if err != nil {
		return err
	}
	defer unlock()
	if err := life.WriteHook(root, h.Hook, program, 0o755); err != nil {
		return err
	}
	return s.approve(ctx, h.Hook.File(), program)
}
