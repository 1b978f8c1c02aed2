package local

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/life"
)

// SetHook has a program run on the host at some time of the pot's life (set-hook, 6.9).
type SetHook struct {
	Hook conf.Hook
	File string // of the host; it is copied
}

// Validate is Setting's.
func (h SetHook) Validate() error {
	_, err := h.read()
	return err
}

// read is the program.
func (h SetHook) read() ([]byte, error) {
	f, err := os.OpenFile(h.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is no file", h.File)
	case info.Mode()&0o111 == 0:
		return nil, fmt.Errorf("%s: is no program: it is not executable", h.File)
	}
	return life.ReadProgram(f, h.File)
}

func (h SetHook) set(ctx context.Context, s *Pot) error {
	program, err := h.read()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
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
