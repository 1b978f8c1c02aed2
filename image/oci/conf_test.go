package oci

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
)

// imageOf is an image with that configuration.
func imageOf(c v1.Config, change ...func(*v1.ConfigFile)) *Image {
	i := &Image{Digest: "sha256:1", config: &v1.ConfigFile{Config: c}}
	for _, f := range change {
		f(i.config)
	}
	return i
}

func TestImage_Conf(t *testing.T) {
	leak.Check(t)
	run := v1.Config{Cmd: []string{"/a"}}
	task := map[string]string{"no-rc-script": "YES", "persistent": "NO"}
	for name, c := range map[string]struct {
		image       *Image
		given, want conf.New
	}{
		"entrypoint and command are one": {
			imageOf(v1.Config{Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{"echo $HOME 'x'"}}), conf.New{},
			conf.New{Command: `/bin/sh -c 'echo $HOME '\''x'\'''`},
		},
		"a given command replaces both": {imageOf(v1.Config{Entrypoint: []string{"/a"}, Cmd: []string{"b"}}), conf.New{Command: "/c"}, conf.New{Command: "/c"}},
		"variables are replaced one by one": {
			imageOf(v1.Config{Cmd: []string{"/a"}, Env: []string{"PATH=/bin", "A=1", "B=two\nlines"}}), conf.New{Env: []string{"B=2", "C=3"}},
			conf.New{Command: "/a", Env: []string{"PATH=/bin", "A=1", "B=2", "C=3"}},
		},
		"ports are exported": {
			imageOf(v1.Config{Cmd: []string{"/a"}, ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}, "9": {}}}), conf.New{},
			conf.New{Command: "/a", Ports: []string{"udp:53", "80", "9"}},
		},
		"given ports replace them": {
			imageOf(v1.Config{Cmd: []string{"/a"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}}), conf.New{Ports: []string{"81"}},
			conf.New{Command: "/a", Ports: []string{"81"}},
		},
		"user and working directory are kept": {
			imageOf(v1.Config{Cmd: []string{"/a"}, User: "www:80", WorkingDir: "srv/../app"}), conf.New{},
			conf.New{Command: "/a", User: "www:80", WorkDir: "/app"},
		},
		"the root is no working directory": {imageOf(v1.Config{Cmd: []string{"/a"}, WorkingDir: "/"}), conf.New{}, conf.New{Command: "/a"}},
		"the release is FreeBSD's":         {imageOf(run, func(c *v1.ConfigFile) { c.OSVersion = "14.3-RELEASE" }), conf.New{}, conf.New{Command: "/a", Base: "14.3"}},
		"a given release replaces it":      {imageOf(run, func(c *v1.ConfigFile) { c.OSVersion = "14.3" }), conf.New{Base: "15.0"}, conf.New{Command: "/a", Base: "15.0"}},
		"another version is no release":    {imageOf(run, func(c *v1.ConfigFile) { c.OSVersion = "10.0.17763.1" }), conf.New{}, conf.New{Command: "/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, warnings, err := c.image.Conf(c.given)
			must.NoError(t, err)
			must.SliceEmpty(t, warnings)
			c.want.OCIDigest, c.want.Attributes = "sha256:1", task
			must.Eq(t, c.want, got)
			must.NoError(t, got.Validate())
		})
	}
	t.Run("given attributes come first", func(t *testing.T) {
		got, _, err := imageOf(run).Conf(conf.New{Attributes: map[string]string{"persistent": "YES", "mlock": "YES"}})
		must.NoError(t, err)
		must.Eq(t, map[string]string{"no-rc-script": "YES", "persistent": "YES", "mlock": "YES"}, got.Attributes)
	})
}

func TestImage_Conf_warnings(t *testing.T) {
	leak.Check(t)
	got, warnings, err := imageOf(v1.Config{
		Cmd: []string{"/a"}, StopSignal: "SIGQUIT", Labels: map[string]string{"a": "b"}, Volumes: map[string]struct{}{"/data": {}},
		Env:          []string{"a.b=1", "=1", "A=1"},
		ExposedPorts: map[string]struct{}{"80/sctp": {}, "8000-8010/tcp": {}}, Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "x"}},
	}).Conf(conf.New{})
	must.NoError(t, err)
	must.Eq(t, []string{"A=1"}, got.Env)
	must.Eq(t, []string{
		`left out: variable "a.b": no shell can export its name`,
		`left out: variable "": no shell can export its name`,
		`left out: exposed port "80/sctp": a pot exports single ports of tcp and udp`,
		`left out: exposed port "8000-8010/tcp": a pot exports single ports of tcp and udp`,
		"left out: stop signal SIGQUIT: a job has kill_signal for it",
		"left out: volumes, which are directories of the pot: /data",
		"left out: health check: a job has checks for it",
		"left out: labels (1)",
	}, warnings)
}

func TestImage_Conf_refused(t *testing.T) {
	leak.Check(t)
	_, _, err := imageOf(v1.Config{}).Conf(conf.New{})
	must.ErrorIs(t, err, ErrNoCommand)
	_, _, err = imageOf(v1.Config{Cmd: []string{"", "a"}}).Conf(conf.New{})
	must.ErrorIs(t, err, ErrNoCommand)
	for name, c := range map[string]struct {
		config v1.Config
		want   string
	}{
		"a command of two lines":      {v1.Config{Cmd: []string{"a\nb"}}, "command: must be one line"},
		"a variable of two lines":     {v1.Config{Cmd: []string{"a"}, Env: []string{"A=1", "B=\n"}}, `the image's environment: B: must be one line`},
		"a user of two lines":         {v1.Config{Cmd: []string{"a"}, User: "root\npot.attr.mlock=YES"}, "user: must be one line"},
		"a directory of two lines":    {v1.Config{Cmd: []string{"a"}, WorkingDir: "/a\npot.cmd=b"}, "workdir: must be one line"},
		"a command that is too long":  {v1.Config{Cmd: []string{strings.Repeat("a", conf.MaxLine+1)}}, "command: must be at most"},
		"a variable that is too long": {v1.Config{Cmd: []string{"a"}, Env: []string{"A=" + strings.Repeat("a", conf.MaxLine)}}, "A: must be at most"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := imageOf(c.config).Conf(conf.New{})
			if err == nil {
				err = got.Validate()
			}
			must.ErrorContains(t, err, c.want)
		})
	}
}

func TestImage_Created(t *testing.T) {
	leak.Check(t)
	at := func(made time.Time) time.Time {
		return imageOf(v1.Config{}, func(c *v1.ConfigFile) { c.Created.Time = made }).Created()
	}
	must.Eq(t, time.Unix(1795392222, 0), at(time.Unix(1795392222, 5)))
	must.Eq(t, time.Unix(1, 0), at(time.Time{}))
	must.Eq(t, time.Unix(1, 0), at(time.Unix(0, 0)))
	must.Eq(t, time.Unix(1, 0), at(time.Unix(-5, 0)))
}

// FuzzImage_Conf reads configurations. A pot.conf that is made of one has what it says, and no
// line of its own.
func FuzzImage_Conf(f *testing.F) {
	f.Add([]byte(`{"os":"freebsd","config":{"Entrypoint":["/bin/sh","-c"],"Cmd":["a 'b' $C"],"Env":["A=1"],"User":"www","WorkingDir":"/x"}}`))
	f.Add([]byte(`{"config":{"Cmd":["a\npot.cmd=b"],"ExposedPorts":{"80/tcp":{}},"Env":["A=\"\\"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := parseConfig(data)
		if err != nil {
			return
		}
		i := &Image{Digest: "sha256:1", config: config}
		i.Created()
		made, _, err := i.Conf(conf.New{})
		if err != nil {
			return
		}
		text, err := made.Format("web")
		if err != nil {
			return
		}
		read, err := conf.Read(strings.NewReader(text))
		must.NoError(t, err)
		if words := append(config.Config.Entrypoint, config.Config.Cmd...); strings.TrimSpace(words[0]) != "" {
			must.Eq(t, words, read.Argv())
		}
		must.Eq(t, made.Env, read.Env)
		must.Eq(t, made.User, read.User)
		must.Eq(t, made.WorkDir, read.WorkDir)
		must.Eq(t, "YES", read.Attributes["no-rc-script"])
		must.Eq(t, "NO", read.Attributes["mlock"])
	})
}
