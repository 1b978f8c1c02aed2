package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/run"
)

// isHeld reports whether err is that a snapshot could not be destroyed because it is in
// use, as one with holds is (module/zfs/dsl_destroy.c, dsl_destroy_snapshot_check_impl;
// libzfs_dataset.c, zfs_destroy_snaps_nvl).
func isHeld(err error) bool {
	return errors.Is(err, errBusy) && run.Says(err, "cannot destroy snapshot")
}

// hold keeps a snapshot from being destroyed (zfs-hold(8)).
type hold struct{ snapshot, tag string }

// sendHold begins the tags of the holds that zfs send has while it runs (libzfs_sendrecv.c,
// zfs_send_cb_impl). They are gone with it.
const sendHold = ".send-"

// holds are those of the snapshots of a dataset and of all below it whose names end with
// ending. Those of a zfs send are not among them.
func (d *datasets) holds(ctx context.Context, name, ending string) (all []hold, err error) {
	out, err := d.zfs(ctx, "list", "-H", "-r", "-t", "snapshot", "-o", "name,userrefs", d.path(name))
	if err != nil {
		return nil, err
	}
	argv := []string{"holds", "-H"}
	for line := range strings.Lines(out) {
		snapshot, count, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if count != "0" && count != "-" && strings.HasSuffix(snapshot, ending) {
			argv = append(argv, snapshot)
		}
	}
	if len(argv) == 2 {
		return nil, nil
	}
	if out, err = d.zfs(ctx, argv...); err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		snapshot, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		i := strings.LastIndexByte(rest, '\t') // then comes a time
		if tag := rest[:max(i, 0)]; tag != "" && !strings.HasPrefix(tag, sendHold) {
			all = append(all, hold{snapshot, tag})
		}
	}
	return all, nil
}

// releaseImport releases the holds of an import, which the stream brought: earlier versions
// received them. Then busy is worth another try. Holds of an image that was imported, or of
// a pot, are somebody's: they are an error that names them.
func (d *datasets) releaseImport(ctx context.Context, name string, busy error) error {
	if !strings.HasPrefix(name, conf.ImportPrefix) {
		return d.heldError(ctx, name, "", busy)
	}
	all, err := d.holds(ctx, name, "")
	if err != nil {
		return errors.Join(busy, err)
	}
	for _, h := range all {
		if _, err := d.zfs(ctx, "release", "--", h.tag, h.snapshot); ignore(fs.ErrNotExist, err) != nil {
			return fmt.Errorf("release %q of %s: %w", h.tag, h.snapshot, err)
		}
	}
	return busy
}

// heldError is busy, or the holds that are its cause and stay until somebody releases them.
func (d *datasets) heldError(ctx context.Context, name, ending string, busy error) error {
	all, err := d.holds(ctx, name, ending)
	if err != nil || len(all) == 0 {
		return errors.Join(busy, err)
	}
	var errs []error
	for _, h := range all {
		errs = append(errs, fmt.Errorf("snapshot %s has the hold %q; zfs release %s %s removes it", h.snapshot, h.tag, quoted(h.tag), h.snapshot))
	}
	return fmt.Errorf("destroy %s: %w", d.path(name), errors.Join(errs...))
}

// quoted is a word as sh(1) reads it back.
func quoted(word string) string {
	if names.MatchString(word) {
		return word
	}
	return "-- '" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
