package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/tree"
)

func TestPot_Apply(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]struct {
		changes []Change
		want    string
	}{
		"a command replaces the old one": {[]Change{SetCmd{"nginx -g 'daemon off;'"}}, "-pot.cmd=sh /etc/rc\npot.cmd=nginx -g 'daemon off;'\n"},
		"a command in quotes loses one pair": {
			[]Change{SetCmd{`"nginx -g 'daemon off;'"`}}, "-pot.cmd=sh /etc/rc\npot.cmd=nginx -g 'daemon off;'\n",
		},
		"a command that ends in a quote keeps it":                        {[]Change{SetCmd{`sh -c "x"`}}, "-pot.cmd=sh /etc/rc\npot.cmd=sh -c \"x\"\n"},
		"a command that begins with a quoted word loses its first quote": {[]Change{SetCmd{`"a" b`}}, "-pot.cmd=sh /etc/rc\npot.cmd=a\" b\n"},
		"an attribute can be in any of pot's words for no":               {[]Change{SetAttribute{"persistent", "oFf"}}, "-pot.attr.persistent=YES\npot.attr.persistent=NO\n"},
		"attributes of a jail are set in their stored form": {
			[]Change{SetAttribute{"children", "07"}, SetAttribute{"sysvshm", "inherit"}, SetAttribute{"exec_stop", "/bin/x A=1"}},
			"pot.attr.children=7\npot.attr.sysvshm=inherit\npot.attr.exec_stop=/bin/x A=1\n",
		},
		"no-tmpfs is set in a pot of type single": {[]Change{SetAttribute{"no-tmpfs", "YES"}}, "pot.attr.no-tmpfs=YES\n"},
		"a lifecycle attribute is set":            {[]Change{SetAttribute{"start-at-boot", "ON"}}, "pot.attr.start-at-boot=YES\n"},
		"a limit that is not given stays":         {[]Change{SetRSS{CPUs: "2"}, SetRSS{Memory: "200M"}, SetRSS{CPUs: "3"}}, "pot.rss.cpus=3\npot.rss.memory=200M\n"},
		"an environment replaces the old one": {
			[]Change{SetEnv{[]string{"OLD=1"}}, SetEnv{[]string{`A=x "y" * ?h* $HOME`, "B=", "C=a=b"}}},
			"pot.env=\"A=x \\\"y\\\" * ?h* $HOME\"\npot.env=\"B=\"\npot.env=\"C=a=b\"\n",
		},
		"hosts can be of both address families": {
			[]Change{SetHosts{[]string{"db:10.0.0.1", "six:fe00::2", "one:::1"}}},
			"pot.hosts=10.0.0.1 db\npot.hosts=fe00::2 six\npot.hosts=::1 one\n",
		},
		"hosts can be removed":       {[]Change{SetHosts{[]string{"db:10.0.0.1"}}, SetHosts{}}, ""},
		"ports keep their order":     {[]Change{ExportPorts{[]string{"80"}}, ExportPorts{[]string{"udp:53:53", "80", "tcp:443:3000"}}}, "pot.export.ports=udp:53:53 80 tcp:443:3000\n"},
		"a dependency is added once": {[]Change{AddDep{"db"}, AddDep{"dns"}, AddDep{"db"}}, "pot.depend=db\npot.depend=dns\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, h := newPot(t, "web")
			addPot(t, h, "db")
			addPot(t, h, "dns")
			for _, change := range c.changes {
				must.NoError(t, s.Apply(t.Context(), change))
			}
			must.Eq(t, c.want, s.changed(t))
			entries, err := os.ReadDir(filepath.Join(s.dir, conf.Dir))
			must.NoError(t, err)
			must.Len(t, 1, entries) // no temporary file is left
		})
	}
}

func TestPot_Apply_refused(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "file")
	must.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, c := range []struct {
		change Change
		want   string
	}{
		{SetCmd{""}, "-c: a command must be set"},
		{SetCmd{`""`}, "-c: a command must be set"},
		{SetCmd{"a\npot.depend=x"}, `-c: must be one line, not "a\npot.depend=x"`},
		{SetAttribute{"frob", "YES"}, `-A: no such attribute: "frob"`},
		{SetAttribute{"persistent", ""}, "-V: a value must be set"},
		{SetAttribute{"enforce_statfs", "3"}, `-V: enforce_statfs: must be a number, at most 2, not "3"`},
		{SetAttribute{"exec_stop", "a\nip=1"}, "-V: exec_stop: must be one line, not \"a\\nip=1\""},
		{SetRSS{}, "-C or -M must be set"},
		{SetRSS{CPUs: "0", Memory: "200M"}, `-C: must be a number of processors, not "0"`},
		{SetRSS{Memory: "5T"}, `-M: must be as in 512M, not "5T"`},
		{SetRSS{Memory: "1.5G"}, `-M: must be as in 512M, not "1.5G"`},
		{SetRSS{Memory: "10MB"}, `-M: must be as in 512M, not "10MB"`},
		{SetRSS{Memory: "00M"}, `-M: must be more than 0 and at most 2^62 bytes, not "00M"`},
		{SetRSS{Memory: "9999999999G"}, `-M: must be more than 0 and at most 2^62 bytes, not "9999999999G"`},
		{SetEnv{}, "-E: a variable must be set"},
		{SetEnv{[]string{"NOVAR"}}, `-E: must be VAR=value, not "NOVAR"`},
		{SetEnv{[]string{"A=1\npot.hosts=x"}}, `-E: A: must be one line, not "A=1\npot.hosts=x"`},
		{SetHosts{[]string{"db"}}, `-H: must be NAME:ADDRESS, not "db"`},
		{SetHosts{[]string{":10.0.0.1"}}, `-H: must be NAME:ADDRESS, not ":10.0.0.1"`},
		{SetHosts{[]string{"db:"}}, `-H: must be NAME:ADDRESS, not "db:"`},
		{ExportPorts{}, "-e: a port must be set"},
		{ExportPorts{[]string{"80:81:82"}}, `-e: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not "80:81:82"`},
		{ExportPorts{[]string{"tcp:udp:80"}}, `-e: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not "tcp:udp:80"`},
		{ExportPorts{[]string{"65536"}}, `-e: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not "65536"`},
		{AddDep{"web"}, "-P: pot web cannot depend on itself"},
		{AddDep{"nosuch"}, "-P: no such pot: nosuch"},
		{AddDep{"back"}, "-P: pot back already depends on web"},
		{MountIn{Target: "/x"}, "one of -d, -f and -z must be set"},
		{MountIn{Dir: "/etc", Target: "/"}, `-m: must be an absolute path below /, not "/"`},
		{MountIn{Dir: "/etc", Target: "/a b"}, `-m: must not contain blanks, which fscomp.conf cannot hold: "/a b"`},
		{MountIn{Dir: "/etc", Target: "/dev/x"}, `-m: "/dev/x" is the host's to fill`},
		{MountIn{Dir: file, Target: "/x"}, "-d: " + file + ": is not a directory"},
		{MountIn{Dir: "/etc", Dataset: "x", Target: "/x"}, "-d, -f and -z are mutually exclusive"},
		{MountIn{Dir: "/etc", Remount: true, Target: "/x"}, "-w: requires a dataset, not a directory"},
		{MountIn{Dataset: "-x", Target: "/x"}, `-z: must be the name of a dataset, not "-x"`},
		{MountOut{"/x"}, "-m: nothing is mounted on /x"},
		{CopyIn{Copy: tree.Copy{Source: "/nosuch", Target: "/x"}}, "-s: /nosuch: no such file or directory"},
		{CopyIn{Copy: tree.Copy{Source: file, Target: "x"}}, `-d: must be an absolute path in the pot's own tree, not "x"`},
		{CopyIn{Copy: tree.Copy{Source: file, Target: "/no/such/x"}}, "-d: no such directory in the pot: /no/such; -c creates it"},
		{CopyIn{Copy: tree.Copy{Source: file, Target: "/tmp/x"}}, "/tmp/x is in /tmp, where tmpfs is mounted when the pot runs"},
		{CopyOut{Source: "/etc"}, "-d: a destination must be set"},
		{SetHook{conf.PreStart, file}, file + ": is not executable"},
	} {
		s, h := newPot(t, "web")
		must.NoError(t, addPot(t, h, "back").Apply(t.Context(), AddDep{"web"}))
		must.EqError(t, s.Apply(t.Context(), c.change), c.want)
		must.Eq(t, "", s.changed(t))
	}
}

func TestPot_Attribute(t *testing.T) {
	leak.Check(t)
	s, _ := newPot(t, "web")
	for name, want := range map[string]string{"persistent": "YES", "prunable": "", "to-be-pruned": ""} {
		got, err := s.Attribute(name)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	_, err := s.Attribute("frob")
	must.EqError(t, err, `-A: no such attribute: "frob"`)
}

func TestConfLines(t *testing.T) {
	leak.Check(t)
	_, err := conf.ParseLines([]byte("a=b\nno line\n"))
	must.EqError(t, err, `pot.conf:2: must be key=value, not "no line"`)

	c, err := conf.ParseLines([]byte("a=1\n\nb=\"x=y\" \na=2\nc=3")) // no newline at its end
	must.NoError(t, err)
	must.Eq(t, []string{"1", "2"}, c.Values("a"))
	must.Eq(t, "x=y", c.Value("b"))
	must.Eq(t, "", c.Value("d"))
	must.NoError(t, c.Set("a", "3", "4"))
	must.NoError(t, c.Add("c", "5"))
	must.NoError(t, c.Set("e"))
	must.Eq(t, "a=3\na=4\n\nb=\"x=y\" \nc=3\nc=5\n", string(c.Bytes()))
	must.Error(t, c.Set("f", "1\ng=2"))
	must.Error(t, c.Set("f", strings.Repeat("x", conf.MaxLine+1)))
	must.Eq(t, "a=3\na=4\n\nb=\"x=y\" \nc=3\nc=5\n", string(c.Bytes()))
}

// Every value is read as it was set: those of pot's test start3.sh, and text that a shell would
// expand.
func TestSetEnv(t *testing.T) {
	leak.Check(t)
	s, _ := newPot(t, "web")
	for _, vars := range [][]string{
		{"VAR=value"}, {"VAR=value", "VAR2=value2"}, {"VAR=value1 value2", "VAR2=value3"}, {"EMPTYVAR="},
		{"VAR=12*", "VAR2=?h* "}, {`VAR=value1 "value2"`}, {"VAR1=value1", "VAR2=value1 value2", "VAR3=a b c", "VAR4=value4"},
		{`A=$HOME`, "B=`id`", `C=\`, `D=\"`, `E=\\"x"\`, `F="`, `G=""`, "H=a=b=c", "I=ü\t"}, {"L=" + strings.Repeat("x", 60_000)},
	} {
		must.NoError(t, s.Apply(t.Context(), SetEnv{vars}))
		conf, err := s.ReadConf()
		must.NoError(t, err)
		must.Eq(t, vars, conf.Env)
	}
}
