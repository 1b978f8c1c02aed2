package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/freebsd/zfs"
)

// sendHold begins the tags of the holds that zfs send has while it runs (libzfs_sendrecv.c,
// zfs_send_cb_impl). They end with it.
const sendHold = ".send-"

// holds lists the holds of the snapshots of a dataset, and of all below it, whose names end
// with ending, without the holds of a running zfs send.
func (d *datasets) holds(ctx context.Context, name, ending string) ([]zfs.Hold, error) {
	held, err := d.zfs.HeldSnapshots(ctx, d.path(name))
	held = slices.DeleteFunc(held, func(snapshot string) bool { return !strings.HasSuffix(snapshot, ending) })
	if err != nil || len(held) == 0 {
		return nil, err
	}
	all, err := d.zfs.Holds(ctx, held...)
	return slices.DeleteFunc(all, func(h zfs.Hold) bool { return strings.HasPrefix(h.Tag, sendHold) }), err
}

// releaseImport releases the holds of an import, which the stream brought: earlier versions
// received them. Then it returns busy, so that the caller tries again. Holds of an image that was
// imported, or of a pot, are kept: the error names them.
func (d *datasets) releaseImport(ctx context.Context, name string, busy error) error {
	if !strings.HasPrefix(name, conf.ImportPrefix) {
		return d.heldError(ctx, name, "", busy)
	}
	all, err := d.holds(ctx, name, "")
	if err != nil {
		return errors.Join(busy, err)
	}
	for _, h := range all {
		if err := ignore(fs.ErrNotExist, d.zfs.Release(ctx, h)); err != nil {
			return fmt.Errorf("release %q of %s: %w", h.Tag, h.Snapshot, err)
		}
	}
	return busy
}

// heldError returns an error that names the holds of a dataset, or busy if there are none.
func (d *datasets) heldError(ctx context.Context, name, ending string, busy error) error {
	all, err := d.holds(ctx, name, ending)
	if err != nil || len(all) == 0 {
		return errors.Join(busy, err)
	}
	var errs []error
	for _, h := range all {
		errs = append(errs, fmt.Errorf("snapshot %s has the hold %q; zfs release %s %s removes it", h.Snapshot, h.Tag, quoted(h.Tag), h.Snapshot))
	}
	return fmt.Errorf("destroy %s: %w", d.path(name), errors.Join(errs...))
}

// quoted quotes a word for sh(1).
func quoted(word string) string {
	if names.MatchString(word) {
		return word
	}
	return "-- '" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
