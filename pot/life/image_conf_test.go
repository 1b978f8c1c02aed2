package life

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
)

func TestPot_imageConf(t *testing.T) {
	leak.Check(t)
	for _, tc := range []struct {
		name    string
		spec    pot.Spec
		changed string // the environment after pot.conf was changed
	}{
		{"a clone has its image's pot.conf as it was when it was created", pot.Spec{Name: "web", Image: "image"}, "A=1"},
		{"a pot kept by hand has what it is set to now", pot.Spec{Name: "image", Image: "image", InPlace: true}, "A=2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			jails := t.TempDir()
			set := func(env string) {
				must.NoError(t, os.WriteFile(filepath.Join(jails, "image", conf.PotConf), []byte("pot.env="+env+"\n"), 0o644))
			}
			p := Open(pot.Host{Datasets: dirsOnly{dir: jails}}, potconf.Config{Dir: t.TempDir()}).pot(tc.spec.Name)
			p.record = record{Version: recordVersion, Spec: tc.spec}
			_, err := p.imageConf(t.Context())
			must.ErrorContains(t, err, "image image: ") // an error is not kept
			must.NoError(t, os.MkdirAll(filepath.Join(jails, "image", conf.Dir), 0o755))
			set("A=1")
			c, err := p.imageConf(t.Context())
			must.NoError(t, err)
			must.Eq(t, []string{"A=1"}, c.Env)
			set("A=2")
			c, err = p.imageConf(t.Context())
			must.NoError(t, err)
			must.Eq(t, []string{tc.changed}, c.Env)
		})
	}
}

func TestInheritCommand(t *testing.T) {
	leak.Check(t)
	image := conf.Image{User: "www", WorkDir: "/srv"}
	for name, c := range map[string]struct {
		spec, want pot.Spec
	}{
		"the image's are the default":    {pot.Spec{}, pot.Spec{User: "www", WorkDir: "/srv"}},
		"the spec's come before them":    {pot.Spec{User: "root", WorkDir: "/"}, pot.Spec{User: "root", WorkDir: "/"}},
		"each of them is its own choice": {pot.Spec{User: "root"}, pot.Spec{User: "root", WorkDir: "/srv"}},
	} {
		must.NoError(t, inheritCommand(&c.spec, image))
		must.Eq(t, c.want, c.spec, must.Sprint(name))
	}
	must.EqError(t, inheritCommand(&pot.Spec{}, conf.Image{WorkDir: "srv"}), `pot.workdir: must be an absolute path, not "srv"`)
}
