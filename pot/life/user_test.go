package life

import (
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// The list of a user's groups begins with the user's own: FreeBSD's setgroups(2) makes the
// first the effective group, which setgid(2) then replaces.
func TestLookupUser_groups(t *testing.T) {
	leak.Check(t)
	tree := t.TempDir()
	must.NoError(t, os.Mkdir(tree+"/etc", 0o755))
	must.NoError(t, os.WriteFile(tree+"/etc/passwd", []byte("root:*:0:0::/root:/bin/sh\nwww:*:80:80::/www:/bin/sh\n"), 0o644))
	must.NoError(t, os.WriteFile(tree+"/etc/group", []byte("wheel:*:0:root\nmail:*:6:www\nwww:*:80:www\ndialer:*:68:www\n"), 0o644))
	for who, want := range map[string][]uint32{
		"":         {0},
		"www":      {80, 6, 68},
		"80":       {80, 6, 68},
		"www:mail": {6}, // a group that was asked for is the only one
		"1234":     {0},
	} {
		u, err := lookupUser(tree, who)
		must.NoError(t, err, must.Sprint(who))
		must.Eq(t, want, u.Groups, must.Sprint(who))
		must.Eq(t, want[0], u.GID, must.Sprint(who))
	}
}
