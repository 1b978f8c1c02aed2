package freebsd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"syscall"

	"nomad-driver-pot/pot/freebsd/nmount"
)

// nmount mounts what point says on t. Where others can write to a directory on the way
// to t, a process mounts it that has that directory as its root: this one has one
// root, and one working directory, for all its threads.
func (m mounts) nmount(ctx context.Context, t target, point MountPoint, options ...string) error {
	if !t.shared {
		return m.kernel.Mount(point, options...)
	}
	info, err := t.Dir.Stat()
	if err != nil {
		return err
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("internal error: stat has %T", info.Sys())
	}
	from := point.From
	if path.IsAbs(from) { // seen from the working directory
		from = "." + path.Clean(from)
	}
	text, err := json.Marshal(nmount.Beneath{
		Dir: t.Dir.Name(), Dev: uint64(is.Dev), Ino: uint64(is.Ino),
		Words: nmount.Words(point.Type, from, "/"+t.Base, options...),
	})
	if err != nil {
		return err
	}
	_, err = m.runner.Run(ctx, bytes.NewReader(text), m.supervisor, "mount")
	return err
}

// hostPath returns the source of a nullfs as a path of the host, where nmount has
// mounted it relative to the root.
func hostPath(fstype, from string) string {
	if rest, ok := strings.CutPrefix(from, "./"); ok && fstype == "nullfs" {
		return "/" + rest
	}
	return from
}
