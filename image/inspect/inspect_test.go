package inspect

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/schema"
)

// member is a file in an archive.
type member struct {
	tar.Header
	text string
}

// treeOf returns the files of an archive with these members.
func treeOf(t *testing.T, members ...member) *zstream.Files {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		m.Size, m.ModTime = int64(len(m.text)), time.Unix(1795392222, 0)
		must.NoError(t, w.WriteHeader(&m.Header))
		_, err := w.Write([]byte(m.text))
		must.NoError(t, err)
	}
	must.NoError(t, w.Close())
	files, err := zstream.ReadTar(t.Context(), &out, zstream.TarOptions{Spool: t.TempDir(), Missing: time.Unix(1795392222, 0)})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, files.Close()) })
	return files
}

// inspected looks at an image of those datasets.
func inspected(t *testing.T, systems ...zstream.FileSystem) *Report {
	t.Helper()
	var stream bytes.Buffer
	o := zstream.WriteOptions{Dataset: "tank/jails/web", Snapshot: "1795392222", Created: time.Unix(1795392222, 0)}
	_, err := zstream.Write(t.Context(), &stream, o, systems...)
	must.NoError(t, err)
	p, err := fetch.ParseLocation(filepath.Join(t.TempDir(), "web_1.0.xz"))
	must.NoError(t, err)
	r, seen := New(p, false), NewSeen()
	index, err := zstream.Index(t.Context(), &stream, Options(), seen.Add)
	must.NoError(t, err)
	r.AddStream(index, seen)
	return r
}

// script, dir, file and device return members of an archive.
func script(name string, mode int64) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}, "#!/bin/sh\n"}
}
func dir(name string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}
func file(name, text string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, text}
}

const hostileConf = `pot.cmd=/bin/evil
pot.depend=dns
pot.hosts=10.0.0.1 db
pot.rss.cpus=2
pot.rss.memory=1G
pot.env="A=\"b\"=c"
bad=` + "\x1b[2J\n"

func TestInspect_warnings(t *testing.T) {
	leak.Check(t)
	top := treeOf(t, dir("m/"), dir("conf/"), file("conf/pot.conf", hostileConf), script("conf/prestart.sh", 0o755), script("conf/old.sh", 0o644),
		file("conf/fscomp.conf", "/etc /host ro\n\ntank/secret /x\x1b[2J\n"))
	m := treeOf(t, dir("dev/"), member{tar.Header{Name: "dev/mem", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 1, Mode: 0o666}, ""},
		script("a", 0o4755), script("b", 0o6755), script("c", 0o4755), script("d", 0o4755),
		member{tar.Header{Name: "again", Typeflag: tar.TypeLink, Linkname: "a"}, ""})
	r := inspected(t, zstream.FileSystem{Name: "", Files: top}, zstream.FileSystem{Name: "m", Files: m}, zstream.FileSystem{Name: "x", Files: treeOf(t)})
	var lines []string
	for _, w := range r.Warnings {
		lines = append(lines, w.Kind+": "+w.Text)
	}
	must.Eq(t, []string{
		"hook: conf/old.sh: 10 bytes, a script that is not executable",
		"hook: conf/prestart.sh: 10 bytes, a script that the shell tool pot runs on the host as root",
		"mount: conf/fscomp.conf: the host's /etc /host ro",
		`mount: conf/fscomp.conf: the host's dataset "tank/secret /x\x1b[2J"`,
		"depend: pot dns: the shell tool pot starts it first",
		"dataset: x: unexpected dataset",
		"device: 1 in all, m/dev/mem: device nodes, which devfs(5) does not hide outside /dev",
		"setuid: 4 in all, m/a, m/b, m/c, …: set-user-ID files",
		"setgid: 1 in all, m/b: set-group-ID files",
	}, lines)
	must.Eq(t, "web", r.pot)
	must.Eq(t, "/bin/evil", r.Conf.Command)
	must.Eq(t, []schema.Variable{{Name: "A"}}, r.Conf.Environment)
	var text strings.Builder
	must.NoError(t, r.Text(&text))
	must.StrContains(t, text.String(), "hosts       10.0.0.1 db\n")
	must.StrContains(t, text.String(), "cpus        2\nmemory      1G\n")
	must.StrNotContains(t, text.String(), "\x1b")
}

func TestInspect_oddConf(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct {
		what, want string
		members    []member
	}{
		{"nothing there", "conf: conf/pot.conf: missing", nil},
		{"a link in its place", "conf: conf/pot.conf: unexpected type of file",
			[]member{dir("conf/"), {tar.Header{Name: "conf/pot.conf", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}}},
		{"a file in the place of the directory", "conf: conf/pot.conf: missing; conf: conf: unexpected type of file",
			[]member{file("conf", "x")}},
		{"more than is read", fmt.Sprintf("conf: conf/pot.conf: %d bytes: too large to read", maxConf+1),
			[]member{dir("conf/"), file("conf/pot.conf", strings.Repeat("a=b\n", maxConf/4)+"\n")}},
		{"no lines of pot's", `conf: pot.conf:1: must be key=value, not "hello"`, []member{dir("conf/"), file("conf/pot.conf", "hello\n")}},
		{"too much for fscomp.conf too", fmt.Sprintf("conf: conf/pot.conf: missing; mount: conf/fscomp.conf: %d bytes: too large to read", maxConf+1),
			[]member{dir("conf/"), file("conf/fscomp.conf", strings.Repeat("x", maxConf+1))}},
		{"many mounts", "conf: conf/pot.conf: missing" + strings.Repeat("; mount: conf/fscomp.conf: the host's /a /b", maxMounts) + "; mount: conf/fscomp.conf: 8 more",
			[]member{dir("conf/"), file("conf/fscomp.conf", strings.Repeat("/a /b\n", maxMounts+8))}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := inspected(t, zstream.FileSystem{Name: "", Files: treeOf(t, c.members...)})
			var lines []string
			for _, w := range r.Warnings {
				lines = append(lines, w.Kind+": "+w.Text)
			}
			must.Eq(t, c.want, strings.Join(lines, "; "))
		})
	}
}

func TestInspect_manyHooks(t *testing.T) {
	leak.Check(t)
	members := []member{dir("conf/"), file("conf/pot.conf", "pot.level=0\n")}
	for i := range maxHooks + 5 {
		members = append(members, script(fmt.Sprintf("conf/%d.sh", i), 0o755))
	}
	r := inspected(t, zstream.FileSystem{Name: "", Files: treeOf(t, members...)})
	must.Len(t, maxHooks+1, r.Warnings)
	must.Eq(t, warning{"hook", "conf: 5 more scripts"}, r.Warnings[maxHooks])
}

func TestActing(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct {
		name  string
		value any
		text  string
		acts  bool
	}{
		{"mountpoint", "/etc", "/etc", true},
		{"mountpoint", "none", "none", false},
		{"canmount", uint64(1), "on", true},
		{"canmount", uint64(2), "noauto", false},
		{"canmount", uint64(9), "9", true},
		{"sharenfs", "-alldirs", "-alldirs", true},
		{"sharenfs", "off", "off", false},
		{"setuid", uint64(1), "on", true},
		{"quota", uint64(1 << 30), "1073741824", true},
		{"quota", uint64(0), "0", false},
		{"compression", uint64(15), "15", false},
		{":pot.tag", "1.0", "1.0", false},
		{"nomad.pot:alloc", "x", "x", true},
	} {
		text, acts := acting(c.name, c.value)
		must.Eq(t, c.text, text, must.Sprint(c))
		must.Eq(t, c.acts, acts, must.Sprint(c))
	}
	must.Eq(t, map[string]any{"canmount": "on", "quota": uint64(5)}, shownProperties(map[string]any{"canmount": uint64(1), "quota": uint64(5)}))
}

func TestNamed(t *testing.T) {
	leak.Check(t)
	for _, c := range [][4]string{ // file, pot that was exported, name, tag
		{"hello_1.0.xz", "hello", "hello", "1.0"},
		{"nginx-amd64-14_2_1.24.1.xz", "nginx-amd64-14_2", "nginx-amd64-14_2", "1.24.1"},
		{"web_1_0.xz", "web", "web", "1_0"},
		{"web_1.0.xz", "web_1_0", "web", "1.0"},
		{"web.xz", "web", "", ""},
		{"web_1.0", "web", "", ""},
		{"_1.xz", "", "", ""},
	} {
		name, tag := named(c[0], c[1])
		must.Eq(t, [2]string{c[2], c[3]}, [2]string{name, tag}, must.Sprint(c))
	}
}

func TestLsMode(t *testing.T) {
	leak.Check(t)
	for want, mode := range map[string]fs.FileMode{
		"-rwxr-xr-x": 0o755, "drwxrwxrwt": fs.ModeDir | fs.ModeSticky | 0o777, "-rwsr-Sr-T": fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky | 0o744,
		"crw-rw-rw-": fs.ModeDevice | fs.ModeCharDevice | 0o666, "brw-------": fs.ModeDevice | 0o600, "lrwxrwxrwx": fs.ModeSymlink | 0o777,
		"p---------": fs.ModeNamedPipe, "s---------": fs.ModeSocket, "-r-xr-sr-x": fs.ModeSetgid | 0o555,
	} {
		must.Eq(t, want, lsMode(mode))
	}
}

func TestListed_names(t *testing.T) {
	leak.Check(t)
	var out bytes.Buffer
	line := Lister(&out, true)
	must.NoError(t, line(zstream.Entry{Dataset: "m", Path: "a\xff", Mode: fs.ModeDevice | fs.ModeCharDevice | 0o666, Major: 13, Minor: 0}))
	must.StrContains(t, out.String(), `"path_bytes":"bS9h/w=="`)
	must.StrContains(t, out.String(), `"type":"character device","mode":"0666"`)
	must.StrContains(t, out.String(), `"major":13,"minor":0`)
	must.StrHasSuffix(t, "m/dev", lsLine(zstream.Entry{Dataset: "m", Path: "dev", Mode: fs.ModeDevice, Major: 13}))
	must.StrContains(t, lsLine(zstream.Entry{Path: "dev", Mode: fs.ModeDevice, Major: 13, Minor: 7}), " 13, 7 ")
	must.StrHasSuffix(t, "m/b = m/a", lsLine(zstream.Entry{Dataset: "m", Path: "b", Hardlink: "a"}))
	must.Eq(t, `"\x1b[2J"`, Printable("\x1b[2J"))
	must.Eq(t, `"a\u202eb"`, Printable("a\u202eb"))
	must.Eq(t, "ünï 名", Printable("ünï 名"))
}
