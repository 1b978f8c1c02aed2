package pot

import (
	"nomad-driver-pot/pot/hosttest/leak"
	"testing"

	"github.com/shoenig/test/must"
)

// An image's attributes count as far as they are allowed, below the task's own.
func TestMergeAttributes(t *testing.T) {
	leak.Check(t)
	image := Attributes{"mlock": "YES", "children": "5", "zfs": "NO", "persistent": "YES", "no-tmpfs": "NO", "raw_sockets": "NO",
		"devfs_ruleset": "7"}
	all, refused := mergeAttributes(image, Attributes{"devfs_ruleset": "4"}, []string{"children"})
	must.Eq(t, Attributes{"children": "5", "devfs_ruleset": "4"}, all)
	must.Eq(t, []string{"mlock"}, refused)
	must.Eq(t, []string{"children"}, all.Changed())
	must.Eq(t, "new", all.Value("sysvshm"))
	must.False(t, all.On("mlock"))
	must.True(t, all.On("no-tmpfs"))
}

func TestLocalAttributes(t *testing.T) {
	leak.Check(t)
	must.Eq(t, Attributes{"no-tmpfs": "NO", "procfs": "YES", "children": "3"}, localAttributes(Attributes{
		"procfs": "YES", "children": "3", "raw_sockets": "NO", "persistent": "NO", "stop_timeout": "3",
	}))
	must.Eq(t, Attributes{"no-tmpfs": "YES", "raw_sockets": "YES"}, localAttributes(Attributes{"no-tmpfs": "YES", "raw_sockets": "YES"}))
}
