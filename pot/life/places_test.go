package life

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
	"nomad-driver-pot/pot/tree/treetest"
)

func TestPlaced(t *testing.T) {
	leak.Check(t)
	root := treetest.New(t, map[string]string{"home": "-> usr/home", "root": "-> /", "device": "-> dev", "tmp": "-> var/tmp"})
	resolve := func(target string) (string, error) { return tree.Resolve(root, target) }
	targets := func(all []pot.Mount) (names []string) {
		for _, m := range all {
			names = append(names, m.Target)
		}
		return names
	}
	got, err := placed([]pot.Mount{{Target: "/tmp"}, {Source: "/a", Target: "/home/x"}, {Source: "/b", Target: "/usr/home"}, {Source: "/c", Target: "/var/tmp"}}, resolve)
	must.NoError(t, err)
	must.Eq(t, []string{"/tmp", "/usr/home", "/home/x", "/var/tmp"}, targets(got))
	for _, c := range []struct {
		mounts []pot.Mount
		want   string
	}{
		{[]pot.Mount{{Source: "/a", Target: "/home/x"}, {Source: "/b", Target: "/usr/home/x"}}, "/b on /usr/home/x: a link of the image leads to /usr/home/x, where /a is mounted"},
		{[]pot.Mount{{Source: "/a", Target: "/root"}}, "/a on /root: a link of the image leads to /, and a mount must be below it"},
		{[]pot.Mount{{Source: "/a", Target: "/device/x"}}, "/a on /device/x: a link of the image leads to /dev/x, which is reserved for the host"},
	} {
		_, err := placed(c.mounts, resolve)
		must.EqError(t, err, c.want)
	}
}

func TestSpec_mounts(t *testing.T) {
	leak.Check(t)
	s := pot.Spec{Mounts: []pot.Mount{{Target: "/a/b/c"}, {Target: "/tmp/x"}, {Target: "/a"}, {Target: "/b//"}, {Target: "/a/b"}}}
	var got []string
	for _, m := range mounts(&s, conf.Attributes{"no-tmpfs": "NO"}) {
		got = append(got, m.Target)
	}
	must.Eq(t, []string{"/tmp", "/tmp/x", "/a", "/b//", "/a/b", "/a/b/c"}, got)
	must.Eq(t, "/a/b/c", s.Mounts[0].Target) // the spec is not changed
	must.Eq(t, "/tmp/x", mounts(&s, nil)[0].Target)
}
