package driver

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/supervise"
)

// SignalTask implements drivers.DriverPlugin.
func (d *Driver) SignalTask(id, signal string) error {
	t, err := d.lookup(id)
	if err != nil {
		return err
	}
	sig, err := parseSignal(signal)
	if err == nil {
		err = t.signal(sig)
	}
	if err != nil {
		return fmt.Errorf("cannot signal task: %w", err)
	}
	return nil
}

// signal sends sig to the task's command.
func (t *task) signal(sig syscall.Signal) error {
	err := t.pot.Signal(sig)
	if errors.Is(err, supervise.ErrEnded) {
		return fmt.Errorf("the command: %w", err)
	}
	return err
}

// parseSignal returns the signal of that name, which may be in lower case and
// without SIG.
func parseSignal(name string) (syscall.Signal, error) {
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	sig := unix.SignalNum(upper)
	if sig == 0 {
		return 0, fmt.Errorf("no such signal: %q", name)
	}
	return sig, nil
}
