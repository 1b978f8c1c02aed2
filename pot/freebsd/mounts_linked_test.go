package freebsd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// Links of the image, and of a volume that others write to, lead to where they lead a
// process in the pot.
func TestMount_linkedTarget(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, os.MkdirAll(b.root+"/usr/home", 0o755))
	for link, to := range map[string]string{"home": "/usr/home", "up": "../../../usr/home"} {
		must.NoError(t, os.Symlink(to, filepath.Join(b.root, link)))
	}
	must.NoError(t, os.Symlink(b.host+"/etc", b.host+"/data/out"))
	for _, m := range [][2]string{
		{"more", "/home/a"}, {"more", "/up/b"}, {"more/m", "/home/m"}, {"data", "/d"}, {"more", "/d/out/x"}, {"data/sub", "/home/a/sub"},
	} {
		must.NoError(t, b.mount(t, m[0], m[1], true))
	}
	must.NoError(t, b.mounts.Mount(t.Context(), b.root, pot.Mount{Target: "/home/tmp"}))
	must.Eq(t, []string{
		b.host + "/more " + b.root + "/usr/home/a ro",
		b.host + "/more " + b.root + "/usr/home/b ro",
		b.host + "/more/m " + b.root + "/usr/home/m ro",
		b.host + "/data " + b.root + "/d ro",
		b.host + "/more " + b.root + b.host + "/etc/x ro",
		b.host + "/data/sub " + b.root + "/usr/home/a/sub ro",
		"tmpfs " + b.root + "/usr/home/tmp",
	}, b.table())
	must.DirNotExists(t, b.host+"/etc/x")

	for _, system := range []string{"/home/fd", "/up"} { // the kernel's own are where the jail expects them
		must.ErrorContains(t, b.mounts.system(t.Context(), b.root, system, "fdescfs"), "is a link: mounts follow none")
	}
}
