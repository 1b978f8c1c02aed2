//go:build !linux && !freebsd

package hosttest

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func setLimit(*unix.Rlimit, uint64, uint64, bool) {}

func mayRaise() bool { return false }

func blockSignals(...syscall.Signal) error { return nil }

func oddSystem() error { return nil }
