package local

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
	"nomad-driver-pot/pot/tree"
)

// settingHost is a host that has directories for datasets, and says of jails and
// labels what it is told to.
type settingHost struct {
	pot.Jails
	dir     string
	mu      sync.Mutex
	labels  map[string]string
	running map[pot.Name]bool
	idle    []string
}

type settingDatasets struct {
	pot.Cloner
	*settingHost
}

type settingImages struct {
	pot.Images
	*settingHost
}

func (h *settingHost) host() pot.Host {
	return pot.Host{Images: settingImages{nil, h}, Datasets: settingDatasets{nil, h}, Jails: h, Aliases: pot.Unsupported{}, Mountpoint: pot.Unsupported{}.Mountpoint}
}

func (h settingDatasets) Dir(_ context.Context, name string) (string, error) {
	dir := filepath.Join(h.dir, name)
	_, err := os.Lstat(dir)
	return dir, err
}

func (h settingImages) SetLabels(_ context.Context, _ string, labels map[string]string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.labels == nil {
		h.labels = map[string]string{}
	}
	maps.Copy(h.labels, labels)
	maps.DeleteFunc(h.labels, func(_, value string) bool { return value == "" })
	return nil
}

func (h settingImages) Idle(context.Context, string) ([]string, error) { return h.idle, nil }

func (h settingImages) Labels(context.Context, string) (map[string]string, error) {
	return h.labels, nil
}

func (h *settingHost) Find(_ context.Context, name pot.Name) (supervise.Jail, error) {
	if !h.running[name] {
		return supervise.Jail{}, fs.ErrNotExist
	}
	return supervise.Jail{ID: 1}, nil
}

const settingConf = "pot.level=0\npot.type=single\npot.cmd=sh /etc/rc\nx.unknown= as it is \npot.attr.persistent=YES\n"

// newSettings is a pot with a pot.conf, and the host that it is on.
func newSettings(t *testing.T, name pot.Name) (*Pot, *settingHost) {
	t.Helper()
	h := &settingHost{dir: t.TempDir(), running: map[pot.Name]bool{}}
	return addSettings(t, h, name), h
}

func addSettings(t *testing.T, h *settingHost, name pot.Name) *Pot {
	t.Helper()
	for _, dir := range []string{"conf", "m/etc", "m/usr/home"} {
		must.NoError(t, os.MkdirAll(filepath.Join(h.dir, string(name), dir), 0o755))
	}
	must.NoError(t, os.WriteFile(filepath.Join(h.dir, string(name), conf.PotConf), []byte(settingConf), 0o644))
	s, err := Open(t.Context(), h.host(), name)
	must.NoError(t, err)
	return s
}

func (s *Pot) file(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	must.NoError(t, err)
	return string(data)
}

// changed are the lines of pot.conf that settingConf does not have, and those that it
// has and that are gone, with - before them.
func (s *Pot) changed(t *testing.T) string {
	t.Helper()
	var lines []string
	now := s.file(t, conf.PotConf)
	for line := range strings.Lines(settingConf) {
		if !strings.Contains("\n"+now, "\n"+line) {
			lines = append(lines, "-"+line)
		}
	}
	for line := range strings.Lines(now) {
		if !strings.Contains("\n"+settingConf, "\n"+line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestSettings_Set(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]struct {
		set  []Change
		want string
	}{
		"a command": {[]Change{SetCmd{"nginx -g 'daemon off;'"}}, "-pot.cmd=sh /etc/rc\npot.cmd=nginx -g 'daemon off;'\n"},
		"a command in quotes loses one pair": {
			[]Change{SetCmd{`"nginx -g 'daemon off;'"`}}, "-pot.cmd=sh /etc/rc\npot.cmd=nginx -g 'daemon off;'\n",
		},
		"a command that ends in a quote keeps it":   {[]Change{SetCmd{`sh -c "x"`}}, "-pot.cmd=sh /etc/rc\npot.cmd=sh -c \"x\"\n"},
		"a command that begins with a quoted word":  {[]Change{SetCmd{`"a" b`}}, "-pot.cmd=sh /etc/rc\npot.cmd=a\" b\n"},
		"an attribute in any of pot's words for no": {[]Change{SetAttribute{"persistent", "oFf"}}, "-pot.attr.persistent=YES\npot.attr.persistent=NO\n"},
		"attributes of a jail": {
			[]Change{SetAttribute{"children", "07"}, SetAttribute{"sysvshm", "inherit"}, SetAttribute{"exec_stop", "/bin/x A=1"}},
			"pot.attr.children=7\npot.attr.sysvshm=inherit\npot.attr.exec_stop=/bin/x A=1\n",
		},
		"no tmpfs":                     {[]Change{SetAttribute{"no-tmpfs", "YES"}}, "pot.attr.no-tmpfs=YES\n"},
		"an attribute of a pot's life": {[]Change{SetAttribute{"start-at-boot", "ON"}}, "pot.attr.start-at-boot=YES\n"},
		"limits, one after the other":  {[]Change{SetRSS{CPUs: "2"}, SetRSS{Memory: "200M"}, SetRSS{CPUs: "3"}}, "pot.rss.cpus=3\npot.rss.memory=200M\n"},
		"an environment in place of another": {
			[]Change{SetEnv{[]string{"OLD=1"}}, SetEnv{[]string{`A=x "y" * ?h* $HOME`, "B=", "C=a=b"}}},
			"pot.env=\"A=x \\\"y\\\" * ?h* $HOME\"\npot.env=\"B=\"\npot.env=\"C=a=b\"\n",
		},
		"hosts, of both families": {
			[]Change{SetHosts{[]string{"db:10.0.0.1", "six:fe00::2", "one:::1"}}},
			"pot.hosts=10.0.0.1 db\npot.hosts=fe00::2 six\npot.hosts=::1 one\n",
		},
		"hosts, and then none":     {[]Change{SetHosts{[]string{"db:10.0.0.1"}}, SetHosts{}}, ""},
		"ports, in their order":    {[]Change{ExportPorts{[]string{"80"}}, ExportPorts{[]string{"udp:53:53", "80", "tcp:443:3000"}}}, "pot.export.ports=udp:53:53 80 tcp:443:3000\n"},
		"a dependency, once alone": {[]Change{AddDep{"db"}, AddDep{"dns"}, AddDep{"db"}}, "pot.depend=db\npot.depend=dns\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, h := newSettings(t, "web")
			addSettings(t, h, "db")
			addSettings(t, h, "dns")
			for _, setting := range c.set {
				must.NoError(t, s.Apply(t.Context(), setting))
			}
			must.Eq(t, c.want, s.changed(t))
			entries, err := os.ReadDir(filepath.Join(s.dir, conf.Dir))
			must.NoError(t, err)
			must.Len(t, 1, entries) // nothing else is left there
		})
	}
}

func TestSettings_Set_refused(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "file")
	must.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, c := range []struct {
		setting Change
		want    string
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
		{SetRSS{Memory: "00M"}, `-M: must be more than nothing and less than there is, not "00M"`},
		{SetRSS{Memory: "9999999999G"}, `-M: must be more than nothing and less than there is, not "9999999999G"`},
		{SetEnv{}, "-E: a variable must be set"},
		{SetEnv{[]string{"NOVAR"}}, `-E: must be VAR=value, not "NOVAR"`},
		{SetEnv{[]string{"A=1\npot.hosts=x"}}, `-E: A: must be one line, not "A=1\npot.hosts=x"`},
		{SetHosts{[]string{"db"}}, `-H: must be NAME:ADDRESS, not "db"`},
		{SetHosts{[]string{":10.0.0.1"}}, `-H: must be NAME:ADDRESS, not ":10.0.0.1"`},
		{SetHosts{[]string{"db:"}}, `-H: must be NAME:ADDRESS, not "db:"`},
		{ExportPorts{}, "-e: a port must be set"},
		{ExportPorts{[]string{"80:81:82"}}, `-e: must be [tcp:|udp:]PORT[:HOST_PORT], of 1 to 65535, not "80:81:82"`},
		{ExportPorts{[]string{"tcp:udp:80"}}, `-e: must be [tcp:|udp:]PORT[:HOST_PORT], of 1 to 65535, not "tcp:udp:80"`},
		{ExportPorts{[]string{"65536"}}, `-e: must be [tcp:|udp:]PORT[:HOST_PORT], of 1 to 65535, not "65536"`},
		{AddDep{"web"}, "-P: pot web cannot depend on itself"},
		{AddDep{"nosuch"}, "-P: no pot nosuch: file does not exist"},
		{AddDep{"back"}, "-P: pot back depends on web already"},
		{MountIn{Target: "/x"}, "one of -d, -f and -z must be set"},
		{MountIn{Dir: "/etc", Target: "/"}, `-m: must be an absolute path below /, not "/"`},
		{MountIn{Dir: "/etc", Target: "/a b"}, `-m: fscomp.conf has no way to write blanks: "/a b"`},
		{MountIn{Dir: "/etc", Target: "/dev/x"}, `-m: "/dev/x" is the host's to fill`},
		{MountIn{Dir: file, Target: "/x"}, "-d: " + file + ": is no directory"},
		{MountIn{Dir: "/etc", Dataset: "x", Target: "/x"}, "-d, -f and -z: only one of them can be meant"},
		{MountIn{Dir: "/etc", Remount: true, Target: "/x"}, "-w: is for datasets, and not for a directory"},
		{MountIn{Dataset: "-x", Target: "/x"}, `-z: no name of a dataset: "-x"`},
		{MountOut{"/x"}, "-m: nothing is mounted on /x: file does not exist"},
		{CopyIn{Copy: tree.Copy{Source: "/nosuch", Target: "/x"}}, "-s: lstat /nosuch: no such file or directory"},
		{CopyIn{Copy: tree.Copy{Source: file, Target: "x"}}, `-d: must be an absolute path in the pot's own tree, not "x"`},
		{CopyIn{Copy: tree.Copy{Source: file, Target: "/no/such/x"}}, "-d: the pot has no directory /no/such: -c makes it"},
		{CopyIn{Copy: tree.Copy{Source: file, Target: "/tmp/x"}}, "/tmp/x is in /tmp, where tmpfs is mounted when the pot runs"},
		{CopyOut{Source: "/etc"}, "-d: a destination must be set"},
		{SetHook{conf.PreStart, file}, file + ": is no program: it is not executable"},
	} {
		s, h := newSettings(t, "web")
		must.NoError(t, addSettings(t, h, "back").Apply(t.Context(), AddDep{"web"}))
		must.EqError(t, s.Apply(t.Context(), c.setting), c.want)
		must.Eq(t, "", s.changed(t))
	}
}

func TestSettings_mounts(t *testing.T) {
	leak.Check(t)
	s, h := newSettings(t, "web")
	dir := t.TempDir()
	must.NoError(t, os.Symlink("usr/home", filepath.Join(s.tree(), "home")))
	must.NoError(t, os.WriteFile(filepath.Join(s.dir, conf.FSCompConf), []byte("\n/old "+s.tree()+"/old ro\n"), 0o644))

	t.Run("older lines are brought up to date, and empty ones go", func(t *testing.T) {
		must.NoError(t, s.Apply(t.Context(), MountIn{Dir: dir + "/", Target: "/mnt/a/", ReadOnly: true, Remount: false}))
		must.NoError(t, s.Apply(t.Context(), MountIn{Dataset: "tank/pot/fscomp/x", Target: "/x", Remount: true}))
		must.NoError(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/mnt/a/b"}))
		must.Eq(t, "/old /old ro\n"+dir+" /mnt/a ro\ntank/pot/fscomp/x /x zfs-remount\n"+dir+" /mnt/a/b\n", s.file(t, conf.FSCompConf))
		must.DirExists(t, filepath.Join(s.tree(), "mnt/a"))
		_, err := os.Stat(filepath.Join(s.tree(), "mnt/a/b")) // it will be in what is mounted
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a mount point is used once", func(t *testing.T) {
		must.ErrorIs(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/mnt/../mnt/a"}), fs.ErrExist)
		must.ErrorIs(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/old"}), fs.ErrExist)
	})
	t.Run("no link of the pot's is followed", func(t *testing.T) {
		must.EqError(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/home/x"}), "-m: /home is a link to usr/home: say where that is")
	})
	t.Run("a pot is not mounted in itself", func(t *testing.T) {
		for _, dir := range []string{s.tree(), filepath.Dir(s.dir)} {
			must.ErrorContains(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/y"}), "are in one another")
		}
	})
	t.Run("what is mounted is not copied to", func(t *testing.T) {
		must.EqError(t, s.Apply(t.Context(), CopyIn{Copy: tree.Copy{Source: dir, Target: "/old/x"}}), "/old/x is in /old, where /old is mounted when the pot runs")
	})
	t.Run("each goes by its mount point", func(t *testing.T) {
		for _, target := range []string{"/old", "/mnt/a", "/x/"} {
			must.NoError(t, s.Apply(t.Context(), MountOut{target}))
		}
		must.Eq(t, dir+" /mnt/a/b\n", s.file(t, conf.FSCompConf))
	})
	t.Run("not while it runs", func(t *testing.T) {
		h.running["web"] = true
		must.ErrorIs(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/z"}), ErrRunning)
		must.ErrorIs(t, s.Apply(t.Context(), MountOut{"/mnt/a/b"}), ErrRunning)
		must.ErrorIs(t, s.Apply(t.Context(), SetAttribute{"no-tmpfs", "YES"}), ErrRunning)
	})
	t.Run("a line that is none is an error, and stays", func(t *testing.T) {
		h.running["web"] = false
		must.NoError(t, os.WriteFile(filepath.Join(s.dir, conf.FSCompConf), []byte("/a /b\n/ \n"), 0o644))
		must.EqError(t, s.Apply(t.Context(), MountOut{"/b"}), `fscomp.conf:2: must be SOURCE MOUNTPOINT [OPTION], not "/ \n"`)
		must.Eq(t, "/a /b\n/ \n", s.file(t, conf.FSCompConf))
	})
}

func TestSettings_copies(t *testing.T) {
	leak.Check(t)
	s, h := newSettings(t, "web")
	from, outside := t.TempDir(), t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(from, "f"), []byte("data"), 0o640))
	must.NoError(t, os.Symlink(outside, filepath.Join(s.tree(), "trap")))
	in := func(source, target string) CopyIn { return CopyIn{Copy: tree.Copy{Source: source, Target: target}} }

	t.Run("a file takes the name, or goes into a directory", func(t *testing.T) {
		must.NoError(t, s.Apply(t.Context(), in(from+"/f", "/etc/g")))
		must.NoError(t, s.Apply(t.Context(), in(from+"/f", "/etc/")))
		must.Eq(t, "data", s.file(t, "m/etc/g")+s.file(t, "m/etc/f")[4:])
	})
	t.Run("a directory is copied as one, or into one", func(t *testing.T) {
		must.NoError(t, s.Apply(t.Context(), in(from, "/new")))
		must.Eq(t, "data", s.file(t, "m/new/f"))
		must.NoError(t, s.Apply(t.Context(), in(from, "/new")))
		must.Eq(t, "data", s.file(t, "m/new/"+filepath.Base(from)+"/f"))
		must.NoError(t, s.Apply(t.Context(), CopyIn{Copy: tree.Copy{Source: from, Target: "/a/b/c"}, Parents: true}))
		must.Eq(t, "data", s.file(t, "m/a/b/c/f"))
	})
	t.Run("nothing of the host is written to through a link", func(t *testing.T) {
		must.Error(t, s.Apply(t.Context(), in(from+"/f", "/trap/f")))
		must.Error(t, s.Apply(t.Context(), CopyIn{Copy: tree.Copy{Source: from + "/f", Target: "/trap/x/f"}, Parents: true}))
		must.NoError(t, s.Apply(t.Context(), in(from+"/f", "/trap"))) // in the link's place
		entries, err := os.ReadDir(outside)
		must.NoError(t, err)
		must.SliceEmpty(t, entries)
	})
	t.Run("nothing of the host is brought out through a link", func(t *testing.T) {
		must.NoError(t, os.Symlink("/etc", filepath.Join(s.tree(), "out")))
		must.Error(t, s.Apply(t.Context(), CopyOut{Source: "/out/passwd", Dir: outside}))
		must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/out", Dir: outside})) // the link itself
		to, err := os.Readlink(filepath.Join(outside, "out"))
		must.NoError(t, err)
		must.Eq(t, "/etc", to)
	})
	t.Run("a set-uid program comes out as any other", func(t *testing.T) {
		program := filepath.Join(s.tree(), "su")
		must.NoError(t, os.WriteFile(program, []byte("#!"), 0o755))
		must.NoError(t, os.Chmod(program, 0o755|fs.ModeSetuid))
		must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/su", Dir: outside}))
		info, err := os.Stat(filepath.Join(outside, "su"))
		must.NoError(t, err)
		must.Eq(t, fs.FileMode(0o755), info.Mode())
	})
	t.Run("a fifo is not waited for", func(t *testing.T) {
		must.NoError(t, syscall.Mkfifo(filepath.Join(s.tree(), "fifo"), 0o600))
		must.ErrorContains(t, s.Apply(t.Context(), CopyOut{Source: "/fifo", Dir: outside}), "cannot be copied")
	})
	t.Run("a pot that runs is copied to only if that is wanted", func(t *testing.T) {
		h.running["web"] = true
		must.ErrorIs(t, s.Apply(t.Context(), in(from+"/f", "/etc/h")), ErrRunning)
		must.ErrorIs(t, s.Apply(t.Context(), CopyOut{Source: "/etc", Dir: outside}), ErrRunning)
		must.NoError(t, s.Apply(t.Context(), CopyIn{Copy: tree.Copy{Source: from + "/f", Target: "/etc/h"}, Running: true}))
		must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/etc", Dir: outside, Running: true}))
		_, err := os.Stat(filepath.Join(outside, "etc/h"))
		must.NoError(t, err)
	})
}

func TestSettings_hooks(t *testing.T) {
	leak.Check(t)
	s, _ := newSettings(t, "web")
	program := filepath.Join(t.TempDir(), "p")
	must.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o750))
	outside := filepath.Join(t.TempDir(), "o")
	must.NoError(t, os.Symlink(outside, filepath.Join(s.dir, "conf/poststop.sh.new")))
	for hook, file := range map[conf.Hook]string{conf.PreStart: "prestart.sh", conf.PostStart: "poststart.sh", conf.PreStop: "prestop.sh", conf.PostStop: "poststop.sh"} {
		must.NoError(t, s.Apply(t.Context(), SetHook{hook, program}))
		must.Eq(t, "#!/bin/sh\n", s.file(t, "conf/"+file))
		info, err := os.Stat(filepath.Join(s.dir, "conf", file))
		must.NoError(t, err)
		must.Eq(t, fs.FileMode(0o755), info.Mode())
		must.NoError(t, s.approved(t.Context(), hook.File()))
	}
	_, err := os.Stat(outside)
	must.ErrorIs(t, err, fs.ErrNotExist)
}

// TestSettings_Approve has what came with an image told from what was set here.
func TestSettings_Approve(t *testing.T) {
	leak.Check(t)
	s, _ := newSettings(t, "web")
	dir := t.TempDir()
	must.NoError(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/x"}))
	must.NoError(t, s.approved(t.Context(), conf.FSCompConf))

	at := filepath.Join(s.dir, conf.FSCompConf)
	must.NoError(t, os.WriteFile(at, []byte(dir+" /x\n/etc /host\n"), 0o644))
	must.ErrorIs(t, s.approved(t.Context(), conf.FSCompConf), ErrNotApproved)
	_, err := s.Spec(t.Context(), DefaultDNS)
	must.EqError(t, err, "pot web: fscomp.conf: conf/fscomp.conf of pot web: was not set on this host, and may have come with an image")
	must.NoError(t, s.Apply(t.Context(), MountOut{"/x"}))
	must.ErrorIs(t, s.approved(t.Context(), conf.FSCompConf), ErrNotApproved) // what else is there is no better

	must.NoError(t, os.WriteFile(filepath.Join(s.dir, "conf/prestart.sh"), []byte("#!/bin/sh\n"), 0o755))
	must.ErrorIs(t, s.approved(t.Context(), conf.PreStart.File()), ErrNotApproved)
	must.NoError(t, s.Approve(t.Context()))
	must.NoError(t, s.approved(t.Context(), conf.FSCompConf))
	must.NoError(t, s.approved(t.Context(), conf.PreStart.File()))
	must.NoError(t, s.approved(t.Context(), conf.PostStop.File())) // there is none
}

func TestOpenSettings(t *testing.T) {
	leak.Check(t)
	_, h := newSettings(t, "web")
	host := h.host()
	_, err := Open(t.Context(), host, "nosuch")
	must.EqError(t, err, "no pot nosuch: file does not exist")
	_, err = Open(t.Context(), host, "../web")
	must.ErrorContains(t, err, "name: must be letters")
	h.labels = map[string]string{conf.LabelTask: "x"}
	_, err = Open(t.Context(), host, "web")
	must.ErrorIs(t, err, ErrTaskPot)
}

// TestSettings_own has an image that is changed be no image any more, and one that pots
// are cloned from not be changed.
func TestSettings_own(t *testing.T) {
	leak.Check(t)
	_, h := newSettings(t, "web")
	verified := func() map[string]string {
		return map[string]string{conf.LabelRef: "x", conf.LabelDigest: "y", "nomad.pot:other": "z"}
	}
	h.labels = verified()
	s, err := Open(t.Context(), h.host(), "web")
	must.NoError(t, err)
	file := filepath.Join(t.TempDir(), "f")
	must.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, change := range []Change{SetCmd{"sh"}, CopyIn{Copy: tree.Copy{Source: file, Target: "/etc/f"}}} {
		must.EqError(t, s.Apply(t.Context(), change), "web: is an image that pots are cloned from, and stays what it is")
	}
	must.Eq(t, "", s.changed(t))
	must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/etc", Dir: t.TempDir()})) // it is read alone
	must.Eq(t, verified(), h.labels)

	h.idle = []string{"web"}
	must.NoError(t, s.Apply(t.Context(), SetCmd{"sh"}))
	must.Eq(t, map[string]string{"nomad.pot:other": "z"}, h.labels)
	h.idle = nil // it is none any more
	must.NoError(t, s.Apply(t.Context(), SetCmd{"sh"}))
}

// TestSettings_imported has a pot that a person imported be the image until it is changed.
func TestSettings_imported(t *testing.T) {
	leak.Check(t)
	_, h := newSettings(t, "web")
	h.labels = map[string]string{conf.LabelImported: "x", conf.LabelSources: "y", conf.LabelReceived: "z"}
	s, err := Open(t.Context(), h.host(), "web")
	must.NoError(t, err)
	must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/etc", Dir: t.TempDir()})) // it is read alone
	must.Eq(t, "x", h.labels[conf.LabelImported])
	must.NoError(t, s.Apply(t.Context(), SetCmd{"sh"}))
	must.Eq(t, map[string]string{conf.LabelReceived: "z"}, h.labels)
}

func TestSettings_Attribute(t *testing.T) {
	leak.Check(t)
	s, _ := newSettings(t, "web")
	for name, want := range map[string]string{"persistent": "YES", "prunable": "", "to-be-pruned": ""} {
		got, err := s.Attribute(name)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	_, err := s.Attribute("frob")
	must.EqError(t, err, `-A: no such attribute: "frob"`)
}

// TestSettings_atOnce is many who change one pot: pot loses all but one of them.
func TestSettings_atOnce(t *testing.T) {
	leak.Check(t)
	s, h := newSettings(t, "web")
	names := []pot.Name{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, name := range names {
		addSettings(t, h, name)
	}
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() { must.NoError(t, s.Apply(t.Context(), AddDep{name})) })
	}
	all.Wait()
	deps, err := s.Deps()
	must.NoError(t, err)
	must.Len(t, len(names), deps)
	must.Eq(t, settingConf, strings.Join(strings.SplitAfter(s.file(t, conf.PotConf), "\n")[:5], ""))
}

func TestConfLines(t *testing.T) {
	leak.Check(t)
	_, err := conf.ParseLines([]byte("a=b\nno line\n"))
	must.EqError(t, err, `pot.conf:2: no key=value: "no line"`)

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

// TestSettings_environment has every value come back as it was set (pot's start3.sh,
// and what a shell would make something else of).
func TestSettings_environment(t *testing.T) {
	leak.Check(t)
	s, _ := newSettings(t, "web")
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
