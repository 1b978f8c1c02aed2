package freebsd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/run"
)

func TestSettings(t *testing.T) {
	leak.Check(t)
	text := "# host\nhostname=\"a\"\npf_enable=NO # yet\n pf_enable='YES'\n#gateway_enable=\"YES\"\n"
	for key, want := range map[string]string{"hostname": "a", "pf_enable": "YES"} {
		got, ok := readSetting(text, key)
		must.True(t, ok)
		must.Eq(t, want, got)
	}
	_, ok := readSetting(text, "gateway_enable")
	must.False(t, ok)
	must.Eq(t, "a=\"1\"\n", writeSetting("", "a", "1"))
	must.Eq(t, "b=2\na=\"1\"\n", writeSetting("b=2", "a", "1"))
	must.Eq(t, "a=0\na=\"1\"\nb=2\n", writeSetting("a=0\na=0\nb=2\n", "a", "1"))
}

func FuzzWriteSetting(f *testing.F) {
	f.Add("a=1\nb=2")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := readSetting(writeSetting(text, "key", "YES"), "key")
		if !ok || got != "YES" {
			t.Fatalf("%q", writeSetting(text, "key", "YES"))
		}
	})
}

// newSetup returns a setup of files below a directory, with a log of commands, and what it tells.
func newSetup(t testing.TB, log *run.Log) (*setup, *[]string) {
	withPF(t, true)
	told := new([]string)
	root := t.TempDir()
	for _, dir := range []string{"/etc", "/boot", "/opt/pot"} {
		must.NoError(t, os.MkdirAll(root+dir, 0o755))
	}
	serveZFS(t, createLog{log})
	return &setup{
		SetupOptions: pot.SetupOptions{FSRoot: root + "/opt/pot", Cache: "/var/cache/pot", Group: "pot", PF: true,
			Tell: func(what string) { *told = append(*told, strings.ReplaceAll(what, root, "")) }},
		runner: log, admin: zfs.NewAdmin(), config: Config{ZFSRoot: "tank/pot"}, root: root,
	}, told
}

// bare is a host that has nothing.
func bare() *run.Log {
	missing := func(argv ...string) run.Answer {
		return run.Answer{Err: &run.Error{Argv: argv, Code: 1, Stderr: "cannot open: dataset does not exist"}}
	}
	log := &run.Log{Answers: map[string]run.Answer{
		"pw groupshow pot": {Err: &run.Error{Argv: []string{"pw"}, Code: 65, Stderr: "pw: unknown group `pot'"}},
	}}
	for _, name := range []string{"", "/bases", "/jails", "/fscomp", "/cache"} {
		log.Answers[goZFSList("tank/pot"+name)] = missing("zfs")
	}
	return log
}

// created returns the properties with which a dataset was created, sorted: go-zfs gives them
// in any order.
func created(commands, dataset string) []string {
	for line := range strings.Lines(commands) {
		if options, ok := strings.CutPrefix(line, "zfs create -o "); ok && strings.HasSuffix(line, " "+dataset+"\n") {
			all := strings.SplitAfter(strings.TrimSuffix(options, " "+dataset+"\n"), " -o ")
			for i, o := range all {
				all[i] = "-o " + strings.TrimSuffix(o, " -o ")
			}
			slices.Sort(all)
			return all
		}
	}
	return nil
}

func TestSetup(t *testing.T) {
	leak.Check(t)
	t.Run("a bare host gets all, in order", func(t *testing.T) {
		log := bare()
		s, told := newSetup(t, log)
		must.NoError(t, os.WriteFile(s.root+"/etc/pf.conf", []byte("set skip on lo0\npass\n"), 0o600))
		must.NoError(t, s.run(t.Context()))
		must.Eq(t, []string{
			`made kern.racct.enable="1" in /boot/loader.conf; limits work after the next restart`,
			`made gateway_enable="YES" in /etc/rc.conf`,
			"made group pot",
			`made pf_enable="YES" in /etc/rc.conf; service pf start`,
			"made anchors in pf.conf",
			"made dataset tank/pot", "made dataset tank/pot/bases", "made dataset tank/pot/jails", "made dataset tank/pot/fscomp",
			"made dataset tank/pot/cache",
			"made /opt/pot/bridges, of group pot and closed to others",
			"made devfs ruleset 4",
		}, *told)
		must.FileContains(t, s.root+"/boot/loader.conf", "kern.racct.enable=\"1\"\n")
		must.FileContains(t, s.root+"/etc/rc.conf", "gateway_enable=\"YES\"\npf_enable=\"YES\"\n")
		must.FileContains(t, s.root+"/etc/pf.conf", "set skip on lo0\nnat-anchor \"pot-nat\"\nrdr-anchor \"pot-rdr/*\"\npass\n")
		must.FileMode(t, s.root+"/etc/pf.conf", 0o600)
		must.FileContains(t, s.root+"/etc/pf.conf.before-pot", "set skip")
		must.DirMode(t, s.FSRoot, os.ModeDir|0o750)
		lines := log.String()
		must.Eq(t, []string{"-o atime=off", "-o canmount=off", "-o compression=lz4", "-o mountpoint=" + s.FSRoot}, created(lines, "tank/pot"))
		must.Eq(t, []string{"-o compression=off", "-o mountpoint=/var/cache/pot"}, created(lines, "tank/pot/cache"))
		must.StrContains(t, lines, "pfctl -n -f -\n\tset skip on lo0\n\tnat-anchor \"pot-nat\"\n\trdr-anchor \"pot-rdr/*\"\n\tpass\npfctl -f "+s.root+"/etc/pf.conf\n")
	})
	t.Run("a host that has all is left alone", func(t *testing.T) {
		log := bare()
		s, _ := newSetup(t, log)
		must.NoError(t, s.run(t.Context()))
		again, told := newSetup(t, &run.Log{Answers: map[string]run.Answer{"devfs rule -s 4 show": {Stdout: "100 include 1\n"}}})
		again.root, again.FSRoot = s.root, s.FSRoot
		must.NoError(t, again.run(t.Context()))
		must.SliceEmpty(t, *told)
	})
	t.Run("a dry run changes nothing", func(t *testing.T) {
		log := bare()
		s, told := newSetup(t, log)
		s.DryRun = true
		must.NoError(t, s.run(t.Context()))
		must.Len(t, 12, *told)
		must.StrHasPrefix(t, "would make kern.racct.enable", (*told)[0])
		must.FileNotExists(t, s.root+"/etc/rc.conf")
		must.DirNotExists(t, filepath.Join(s.FSRoot, "bridges"))
		for _, change := range []string{"create", "restart", "groupadd"} {
			must.StrNotContains(t, log.String(), change)
		}
		must.StrContains(t, log.String(), "pfctl -n -f -\n") // changes nothing
		must.Eq(t, 1, strings.Count(log.String(), "pfctl"))
	})
	t.Run("rules that pf does not take are not put there", func(t *testing.T) {
		log := bare()
		log.Answers["pfctl -n -f -"] = run.Answer{Err: &run.Error{Argv: []string{"pfctl"}, Code: 1, Stderr: "stdin:3: syntax error"}}
		s, _ := newSetup(t, log)
		must.NoError(t, os.WriteFile(s.root+"/etc/pf.conf", []byte("pasta\n"), 0o600))
		must.ErrorContains(t, s.run(t.Context()), "anchors in pf.conf: ")
		text, err := os.ReadFile(s.root + "/etc/pf.conf")
		must.NoError(t, err)
		must.Eq(t, "pasta\n", string(text))
	})
	t.Run("rules may be elsewhere, and pf left alone", func(t *testing.T) {
		s, _ := newSetup(t, bare())
		must.NoError(t, os.WriteFile(s.root+"/etc/rc.conf", []byte("pf_rules=\"/etc/own.conf\"\n"), 0o600))
		must.NoError(t, s.run(t.Context()))
		must.FileExists(t, s.root+"/etc/own.conf")
		s, _ = newSetup(t, bare())
		s.PF = false
		must.NoError(t, s.run(t.Context()))
		must.FileNotExists(t, s.root+"/etc/pf.conf")
	})
}

func TestTeardown(t *testing.T) {
	leak.Check(t)
	set := func(t *testing.T, children string) (*setup, *run.Log, *[]string) {
		log := &run.Log{Answers: map[string]run.Answer{
			goZFSChildren: {Stdout: children},
		}}
		s, told := newSetup(t, log)
		must.NoError(t, os.MkdirAll(s.FSRoot+"/bridges", 0o755))
		must.NoError(t, os.WriteFile(s.root+"/etc/pf.conf", []byte("nat-anchor pot-nat\nrdr-anchor \"pot-rdr/*\"\nset skip on lo0\nnat-anchor \"pot-nat-own\"\npass\n"), 0o600))
		return s, log, told
	}
	whole := goZFSLines("tank/pot", "tank/pot/jails", "tank/pot/bases", "tank/pot/fscomp", "tank/pot/cache")
	t.Run("everything of pot is removed, and what stays is named", func(t *testing.T) {
		s, log, told := set(t, whole)
		must.NoError(t, s.undo(t.Context()))
		must.Eq(t, []string{
			"removed anchors from pf.conf", "removed dataset tank/pot/bases", "removed dataset tank/pot/cache",
			"removed dataset tank/pot/fscomp", "removed dataset tank/pot/jails", "removed dataset tank/pot",
			"removed /opt/pot/bridges",
			"left alone: group pot; gateway_enable and pf_enable in /etc/rc.conf, kern.racct.enable in /boot/loader.conf",
		}, *told)
		text, err := os.ReadFile(s.root + "/etc/pf.conf")
		must.NoError(t, err)
		must.Eq(t, "set skip on lo0\nnat-anchor \"pot-nat-own\"\npass\n", string(text))
		must.FileContains(t, s.root+"/etc/pf.conf.before-pot", "rdr-anchor")
		must.DirNotExists(t, s.FSRoot)
		must.StrContains(t, log.String(), "zfs destroy -r tank/pot/jails\nzfs destroy tank/pot\n")
		must.StrContains(t, log.String(), "pfctl -a pot-nat -F nat\npfctl -f "+s.root+"/etc/pf.conf\n")
	})
	t.Run("a host that has nothing is left alone", func(t *testing.T) {
		log := &run.Log{Answers: map[string]run.Answer{
			goZFSChildren: {Err: &run.Error{Argv: []string{"zfs"}, Code: 1, Stderr: "cannot open 'tank/pot': dataset does not exist"}},
		}}
		s, told := newSetup(t, log)
		must.NoError(t, s.undo(t.Context()))
		must.Len(t, 1, *told)
		must.StrNotContains(t, log.String(), "destroy")
		must.StrNotContains(t, log.String(), "pfctl")
	})
	t.Run("a dry run changes nothing", func(t *testing.T) {
		s, log, told := set(t, whole)
		s.DryRun = true
		must.NoError(t, s.undo(t.Context()))
		must.Eq(t, "would remove anchors from pf.conf", (*told)[0])
		must.DirExists(t, s.FSRoot+"/bridges")
		must.FileContains(t, s.root+"/etc/pf.conf", "rdr-anchor")
		must.StrNotContains(t, log.String(), "destroy")
	})
	t.Run("a dataset that pot did not make stops it", func(t *testing.T) {
		s, log, _ := set(t, whole+goZFSLines("tank/pot/home"))
		must.ErrorContains(t, s.undo(t.Context()), "dataset tank/pot/home: was not made by pot")
		must.StrNotContains(t, log.String(), "destroy")
		must.FileContains(t, s.root+"/etc/pf.conf", "rdr-anchor")
	})
	t.Run("a whole pool is never destroyed", func(t *testing.T) {
		s, _, _ := set(t, "")
		s.config.ZFSRoot = "tank"
		must.ErrorContains(t, s.undo(t.Context()), "dataset tank: is a whole pool, which is never destroyed")
	})
	t.Run("a dataset that cannot be destroyed stops it", func(t *testing.T) {
		s, log, _ := set(t, whole)
		log.Answers["zfs destroy -r tank/pot/jails"] = run.Answer{Err: &run.Error{Argv: []string{"zfs"}, Code: 1, Stderr: "cannot unmount: pool or dataset is busy"}}
		must.ErrorContains(t, s.undo(t.Context()), "dataset tank/pot/jails: ")
		must.StrNotContains(t, log.String(), "zfs destroy tank/pot\n")
	})
}
