package freebsd

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/run"
)

// errorTexts are texts of FreeBSD 14.2's commands, by the command: testdata/errors.txt.
// Package zfs has the texts of zfs(8).
var errorTexts = map[string][]run.ErrorText{
	"jail": {
		{Text: "already exists", Err: fs.ErrExist},
		{Text: "not found", Err: fs.ErrNotExist},
		{Text: "is dying", Err: fs.ErrNotExist}, // of a parent (sys/kern/kern_jail.c, kern_jail_set)
	},
	"ifconfig": {
		{Text: "already exists", Err: fs.ErrExist}, // of create (sbin/ifconfig/ifconfig.c, ifcreate_ioctl)
		{Text: "does not exist", Err: fs.ErrNotExist},
		{Text: "(SIOCDIFADDR): Can't assign requested address", Err: fs.ErrNotExist},
		{Text: "No such file or directory", Err: fs.ErrNotExist},
	},
	"rctl": {
		{Text: "No such process", Err: fs.ErrNotExist},
		{Text: "Function not implemented", Err: errNoRacct},
		{Text: "RACCT/RCTL", Err: errNoRacct},
	},
}

// errNoRacct is a kernel without resource accounting.
var errNoRacct = errors.New("resource accounting is off")

// classify returns err wrapped with the error that errorTexts has for it, if any.
func classify(err error) error {
	var failed *run.Error
	if !errors.As(err, &failed) || len(failed.Argv) == 0 {
		return err
	}
	return run.Classify(err, errorTexts[failed.Argv[0]])
}

// ignore returns nil if err is kind, else err.
func ignore(kind, err error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// busyTimeout bounds the wait for a dataset or a mount that is in use: a jail that was
// removed holds its tree for a moment.
const busyTimeout = 10 * time.Second

// retryBusy calls try until it returns no ErrBusy, for at most busyTimeout.
func retryBusy(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(busyTimeout)
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		err := try()
		if !errors.Is(err, zfs.ErrBusy) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}
