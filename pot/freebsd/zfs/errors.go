package zfs

import (
	"errors"
	"io/fs"
	"syscall"

	"nomad-driver-pot/pot/run"
)

// Errors that callers ask for, beside fs.ErrExist, fs.ErrNotExist and syscall.ENOSPC.
var (
	ErrBusy       error = syscall.EBUSY
	ErrDependents       = errors.New("has dependent clones")
)

// errorTexts are the error texts of FreeBSD 14.2's zfs(8): testdata/errors.txt and
// lib/libzfs/libzfs_util.c of OpenZFS, libzfs_error_description.
var errorTexts = []run.ErrorText{
	{Text: "dataset does not exist", Err: fs.ErrNotExist},
	{Text: "no such pool", Err: fs.ErrNotExist},
	{Text: "could not find any snapshots to destroy", Err: fs.ErrNotExist},
	{Text: "no such tag on this dataset", Err: fs.ErrNotExist},
	{Text: "dataset already exists", Err: fs.ErrExist},
	{Text: "must specify -F to overwrite it", Err: fs.ErrExist},
	{Text: "dataset is busy", Err: ErrBusy},
	{Text: "has dependent clones", Err: ErrDependents},
	{Text: "out of space", Err: syscall.ENOSPC},
	{Text: "quota exceeded", Err: syscall.ENOSPC},
	{Text: "permission denied", Err: fs.ErrPermission}, // EZFS_PERM: the caller is not root
}

func classify(err error) error { return run.Classify(err, errorTexts) }

// IsHeld reports whether err is that a snapshot could not be destroyed because it is in
// use, as one with holds is (module/zfs/dsl_destroy.c, dsl_destroy_snapshot_check_impl;
// libzfs_dataset.c, zfs_destroy_snaps_nvl).
func IsHeld(err error) bool {
	return errors.Is(err, ErrBusy) && run.Says(err, "cannot destroy snapshot")
}
