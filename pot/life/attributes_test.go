package life

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
)

// A task has the image's attributes that are allowed, overridden by its own.
func TestMergeAttributes(t *testing.T) {
	leak.Check(t)
	image := conf.Attributes{"mlock": "YES", "children": "5", "zfs": "NO", "persistent": "YES", "no-tmpfs": "NO", "raw_sockets": "NO",
		"devfs_ruleset": "7"}
	all, refused := mergeAttributes(image, conf.Attributes{"devfs_ruleset": "4"}, []string{"children"})
	must.Eq(t, conf.Attributes{"children": "5", "devfs_ruleset": "4"}, all)
	must.Eq(t, []string{"mlock"}, refused)
	must.Eq(t, []string{"children"}, all.Changed())
	must.Eq(t, "new", all.Value("sysvshm"))
	must.False(t, all.On("mlock"))
	must.True(t, all.On("no-tmpfs"))
}

func TestLocalAttributes(t *testing.T) {
	leak.Check(t)
	must.Eq(t, conf.Attributes{"no-tmpfs": "NO", "procfs": "YES", "children": "3"}, localAttributes(conf.Attributes{
		"procfs": "YES", "children": "3", "raw_sockets": "NO", "persistent": "NO", "stop_timeout": "3",
	}))
	must.Eq(t, conf.Attributes{"no-tmpfs": "YES", "raw_sockets": "YES"}, localAttributes(conf.Attributes{"no-tmpfs": "YES", "raw_sockets": "YES"}))
}
