package pot

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestUnsupported(t *testing.T) {
	leak.Check(t)
	var u Unsupported
	_, _, find := u.Find(t.Context(), InterfaceAddr{})
	_, mountpoint := u.Mountpoint(t.Context(), "tank/x")
	for want, err := range map[string]error{
		"network alias": find, "mount point": mountpoint, "unpack an archive": u.Unpack(t.Context(), "web", nil),
		"set up": u.Setup(t.Context(), SetupOptions{}), "tear down": u.Teardown(t.Context(), SetupOptions{}),
	} {
		must.EqError(t, err, want+": not supported on this host")
		must.ErrorIs(t, err, ErrUnsupported)
	}
}
