package freebsd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// The mount table's line of a mount that was made from within a tree.
func TestOnHost(t *testing.T) {
	leak.Check(t)
	const root = "/opt/pot/jails/web/m"
	for _, tc := range []struct {
		source, on string
		isDir      bool
		from       string
	}{
		{"/data/sub", root + "/d/sub", true, "./data/sub"},
		{"/", root + "/d/sub", true, "./"},
		{"/data/keys", "/d/keys", false, "./opt/pot/jails/web/../../../../data/keys"},
		{"/opt/pot/jails/web/skeletons/d", "/d/keys", false, "./opt/pot/jails/web/../../../../opt/pot/jails/web/skeletons/d"},
	} {
		from := fromWorkDir(root, tc.source, tc.isDir)
		must.Eq(t, tc.from, from)
		must.Eq(t, tc.source, filepath.Join("/", from))
		want := MountPoint{Type: "nullfs", From: tc.source, On: root + strings.TrimPrefix(tc.on, root)}
		must.Eq(t, want, onHost(MountPoint{Type: "nullfs", From: from, On: tc.on}))
		must.Eq(t, want, onHost(want))
	}
	zfs := MountPoint{Type: "zfs", From: "./x/../y", On: "/y"}
	must.Eq(t, zfs, onHost(zfs))
}

// A path that the mount table would cut is refused.
func TestMount_longSource(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, b.mount(t, "data", "/d", false))
	target, err := b.target(b.root, "/d/sub", true)
	must.NoError(t, err)
	defer target.Close()
	long := "/" + strings.Repeat("x/", 512)
	must.ErrorContains(t, b.mounts.nmount(t.Context(), b.root, target, MountPoint{Type: "nullfs", From: long}), "path is too long")
}
