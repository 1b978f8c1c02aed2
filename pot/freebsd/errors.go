package freebsd

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"nomad-driver-pot/pot/run"
)

// Kinds of failure that callers ask for, beside fs.ErrExist, fs.ErrNotExist and
// syscall.ENOSPC.
var (
	errBusy       error = syscall.EBUSY
	errDependents       = errors.New("has dependent clones")
)

// errorTexts are what commands say, in the C locale, and what it means. The texts are
// FreeBSD 14.2's: testdata/errors.txt.
var errorTexts = []struct {
	command, text string
	kind          error
}{
	{"zfs", "dataset does not exist", fs.ErrNotExist},
	{"zfs", "no such pool", fs.ErrNotExist},
	{"zfs", "could not find any snapshots to destroy", fs.ErrNotExist},
	{"zfs", "no such tag on this dataset", fs.ErrNotExist},
	{"zfs", "dataset already exists", fs.ErrExist},
	{"zfs", "must specify -F to overwrite it", fs.ErrExist},
	{"zfs", "dataset is busy", errBusy},
	{"zfs", "has dependent clones", errDependents},
	{"zfs", "out of space", syscall.ENOSPC},
	{"zfs", "quota exceeded", syscall.ENOSPC},
	{"jail", "already exists", fs.ErrExist},
	{"jail", "not found", fs.ErrNotExist},
	{"ifconfig", "already exists", fs.ErrExist}, // of create (sbin/ifconfig/ifconfig.c, ifcreate_ioctl)
	{"ifconfig", "does not exist", fs.ErrNotExist},
	{"ifconfig", "(SIOCDIFADDR): Can't assign requested address", fs.ErrNotExist},
	{"ifconfig", "No such file or directory", fs.ErrNotExist},
	{"rctl", "No such process", fs.ErrNotExist},
	{"rctl", "Function not implemented", errNoRacct},
	{"rctl", "RACCT/RCTL", errNoRacct},
}

// errNoRacct is a kernel without resource accounting.
var errNoRacct = errors.New("resource accounting is off")

// commandError is a command's failure that is of a known kind. It reads as the
// command's own, with the line that tells the kind: zfs(8) goes on after it.
type commandError struct {
	of   *run.Error
	line string
	kind error
}

func (f *commandError) Error() string {
	told := *f.of
	told.Stderr = f.line
	return told.Error()
}

func (f *commandError) Unwrap() []error { return []error{f.of, f.kind} }

// classify makes err one that callers can ask for its kind.
func classify(err error) error {
	var e *run.Error
	if !errors.As(err, &e) || len(e.Argv) == 0 {
		return err
	}
	for _, k := range errorTexts {
		if k.command != e.Argv[0] {
			continue
		}
		for line := range strings.SplitSeq(e.Stderr, "\n") {
			if strings.Contains(line, k.text) {
				return &commandError{e, line, k.kind}
			}
		}
	}
	return err
}

// ignore is nil when err is of kind, else err.
func ignore(kind, err error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// busyTimeout bounds the wait for what is still in use: a jail that was removed
// holds its tree for a moment.
const busyTimeout = 10 * time.Second

// retryBusy tries try again for as long as it finds something to be in use.
func retryBusy(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(busyTimeout)
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		err := try()
		if !errors.Is(err, errBusy) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}
