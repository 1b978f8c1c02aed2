package pot

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestParseAttribute(t *testing.T) {
	leak.Check(t)
	for text, want := range map[string]string{
		"mlock:on": "YES", "mlock:False": "NO", "sysvshm:inherit": "inherit", "children:007": "7", "devfs_ruleset:5": "5",
		"exec_stop:/bin/sh /etc/rc.shutdown A=1": "/bin/sh /etc/rc.shutdown A=1", "no-tmpfs:no": "NO",
		"persistent:NO": "NO", "no-rc-script:true": "YES", "stop_timeout:10": "10",
	} {
		name, value, _ := strings.Cut(text, ":")
		got, err := ParseAttribute(name, value)
		must.NoError(t, err)
		must.Eq(t, want, got, must.Sprint(text))
	}
	for text, want := range map[string]string{
		"frob:1":            `no such attribute: "frob"`,
		"mlock:maybe":       `mlock: must be YES or NO, not "maybe"`,
		"children:-1":       "children: must be a number",
		"devfs_ruleset:x":   "devfs_ruleset: must be a number",
		"enforce_statfs:3":  "enforce_statfs: must be a number, at most 2",
		"sysvshm:old":       "sysvshm: must be one of new, inherit, disable",
		"exec_stop:a\nip=1": "exec_stop: must be one line",
		"persistent:YES":    "persistent: is NO for every task, and cannot be YES",
		"stop_timeout:60":   "stop_timeout: is 10 for every task",
	} {
		name, value, _ := strings.Cut(text, ":")
		_, err := ParseAttribute(name, value)
		must.ErrorContains(t, err, want)
	}
}

// An image's attributes count as far as they are allowed, below the task's own.
func TestMerge(t *testing.T) {
	leak.Check(t)
	image := Attributes{"mlock": "YES", "children": "5", "zfs": "NO", "persistent": "YES", "no-tmpfs": "NO", "raw_sockets": "NO",
		"sysvshm": "garbage", "devfs_ruleset": "7"}
	all, refused := merge(image, Attributes{"devfs_ruleset": "4"}, []string{"children"})
	must.Eq(t, Attributes{"children": "5", "devfs_ruleset": "4"}, all)
	must.Eq(t, []string{"mlock"}, refused)
	must.Eq(t, []string{"children"}, all.Changed())
	must.Eq(t, "new", all.Value("sysvshm"))
	must.False(t, all.On("mlock"))
	must.True(t, all.On("no-tmpfs"))
}
