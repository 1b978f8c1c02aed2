package freebsd

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

// pfText is the text of the host's /etc/pf.conf.
func pfText(t *testing.T, s *setup) string {
	text, err := os.ReadFile(s.root + "/etc/pf.conf")
	must.NoError(t, err)
	return string(text)
}

// withPF has pf loaded, or not, for the test: this machine's own pf is not asked.
func withPF(t testing.TB, loaded bool) {
	before := pfDevice
	t.Cleanup(func() { pfDevice = before })
	if pfDevice = os.DevNull; !loaded {
		pfDevice = filepath.Join(t.TempDir(), "pf")
	}
}

const potLines = "nat-anchor \"pot-nat\"\nrdr-anchor \"pot-rdr/*\"\n"

func TestSetup_anchors(t *testing.T) {
	leak.Check(t)
	host := func(t *testing.T, text string) (*setup, *pfHost) {
		s, h := pfSetup(t, "testdata/pf/none")
		must.NoError(t, os.WriteFile(s.root+"/etc/pf.conf", []byte(text), 0o640))
		return s, h
	}
	t.Run("pfctl judges when pf is not loaded, and nothing is loaded", func(t *testing.T) {
		s, h := host(t, "pass\n")
		withPF(t, false)
		must.NoError(t, s.anchors().make(t.Context()))
		must.Eq(t, potLines+"pass\n", pfText(t, s))
		must.Eq(t, "pfctl -n -f -\n\tnat-anchor \"pot-nat\"\n\trdr-anchor \"pot-rdr/*\"\n\tpass\n", h.String())

		s, _ = host(t, "pasta\n")
		withPF(t, false)
		must.ErrorContains(t, s.anchors().make(t.Context()), "/etc/pf.conf: pfctl rejects this file as it is: stdin:1: syntax error")
		must.Eq(t, "pasta\n", pfText(t, s))
	})
	t.Run("an error shows pfctl's first messages, with the operator's lines", func(t *testing.T) {
		s, _ := host(t, "pasta\nset skip on lo0\npassta\n\nbasta\nfine\n")
		must.ErrorContains(t, s.anchors().make(t.Context()),
			"rejects this file as it is: stdin:1: syntax error; stdin:3: syntax error; stdin:5: syntax error; and 1 more")
	})
	t.Run("without pfctl it is an error, and the file stays as it was", func(t *testing.T) {
		s, _ := host(t, "pass\n")
		s.runner = missing{}
		want := "pfctl(8) is not installed, and nothing else can check pf's rules: pfctl: no such command in /sbin, /bin, /usr/sbin, /usr/bin; -m leaves pf alone"
		must.EqError(t, s.anchors().make(t.Context()), want)
		must.EqError(t, s.anchors().plan(t.Context()), want)
		must.Eq(t, "pass\n", pfText(t, s))
	})
	t.Run("a dry run fails as the run would", func(t *testing.T) {
		s, h := host(t, "pasta\n")
		s.DryRun = true
		err := s.run(t.Context())
		must.ErrorContains(t, err, "anchors in pf.conf: ")
		must.ErrorContains(t, err, "stdin:1: syntax error")
		must.StrNotContains(t, h.String(), "pfctl -f")
	})
	t.Run("pf_flags are pfctl's, as in rc.d/pf", func(t *testing.T) {
		s, h := pfSetup(t, "testdata/pf/flags")
		must.NoError(t, s.anchors().make(t.Context()))
		must.StrContains(t, h.String(), "pfctl -n -f - -D ext_if=vtnet0 -D first=block\n")
		must.StrContains(t, h.String(), "pfctl -f "+s.root+"/etc/pf.conf -D ext_if=vtnet0 -D first=block\n")
		defines := pfRules{flags: []string{"-q", "-Da=b=c", "-D", "d=e", "-D"}}.defines()
		must.Eq(t, map[string]string{"a=b": "c", "d": "e"}, defines)
	})
	t.Run("rules that cannot be loaded are not left in the file", func(t *testing.T) {
		s, h := host(t, "pass\n")
		h.loads = &run.Error{Argv: []string{"pfctl"}, Code: 1, Stderr: "stdin:1: warning\npfctl: DIOCADDRULE: Device busy"}
		must.ErrorContains(t, s.anchors().make(t.Context()),
			"/etc/pf.conf: pfctl does not load this file, which is as before: stdin:1: warning; pfctl: DIOCADDRULE: Device busy")
		must.Eq(t, "pass\n", pfText(t, s))
		must.FileMode(t, s.root+"/etc/pf.conf", 0o640)
		must.NoError(t, os.Remove(s.root+"/etc/pf.conf"))
		must.ErrorContains(t, s.anchors().make(t.Context()), "Device busy")
		must.FileNotExists(t, s.root+"/etc/pf.conf")
	})
	t.Run("a call that is cancelled changes nothing", func(t *testing.T) {
		s, _ := host(t, "pass\n")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		must.ErrorIs(t, s.anchors().make(ctx), context.Canceled)
		must.Eq(t, "pass\n", pfText(t, s))
	})
	t.Run("a file that includes itself is pfctl's to reject", func(t *testing.T) {
		s, _ := host(t, "include \"/etc/pf.conf\"\n")
		must.ErrorContains(t, s.anchors().make(t.Context()), "failed to include file")
	})
}

// missing has no commands.
type missing struct{}

func (missing) Run(_ context.Context, _ io.Reader, argv ...string) (string, error) {
	return "", fmt.Errorf("%s: %w in /sbin, /bin, /usr/sbin, /usr/bin", argv[0], run.ErrNotFound)
}

func TestTeardown_anchors(t *testing.T) {
	leak.Check(t)
	host := func(t *testing.T, text string) (*setup, *pfHost, *[]string) {
		s, h := pfSetup(t, "testdata/pf/included-anchors")
		told := new([]string)
		s.Tell = func(what string) { *told = append(*told, what) }
		h.Answers = map[string]run.Answer{goZFSChildren: {Stdout: goZFSLines("tank/pot", "tank/pot/jails")}}
		must.NoError(t, os.WriteFile(s.root+"/etc/pf.conf", []byte(text), 0o644))
		return s, h, told
	}
	t.Run("what init adds is removed, byte for byte", func(t *testing.T) {
		const text = "set block-policy drop\n\n# \"rules\npass \\\n  out\n"
		s, h, _ := host(t, text)
		must.NoError(t, s.anchors().make(t.Context()))
		must.NotEq(t, text, pfText(t, s))
		must.NoError(t, s.undo(t.Context()))
		must.Eq(t, text, pfText(t, s))
		must.StrContains(t, h.String(), "pfctl -n -f -\n\tset block-policy drop\n\t\n\t# \"rules\n\tpass \\\n\t  out\npfctl -a pot-nat -F nat\npfctl -f ")
		must.NoError(t, s.undo(t.Context())) // again
		must.Eq(t, text, pfText(t, s))
	})
	t.Run("rules that pfctl rejects keep all, with a dry run too", func(t *testing.T) {
		for _, dry := range []bool{true, false} {
			s, h, _ := host(t, potLines+"pasta\n")
			s.DryRun = dry
			must.ErrorContains(t, s.undo(t.Context()), "anchors from pf.conf: "+s.root+"/etc/pf.conf: pfctl rejects this file as it is: stdin:3: syntax error")
			must.Eq(t, potLines+"pasta\n", pfText(t, s))
			must.StrNotContains(t, h.String(), "destroy")
		}
	})
	t.Run("anchors of included files are the operator's, and named", func(t *testing.T) {
		s, _, told := host(t, "include \"/etc/pf.d/pot.conf\"\npass\n")
		must.NoError(t, s.undo(t.Context()))
		must.Eq(t, []string{`left alone: nat-anchor "pot-nat" in line 1 of /etc/pf.d/pot.conf`, `left alone: rdr-anchor "pot-rdr/*" in line 2 of /etc/pf.d/pot.conf`}, (*told)[:2])
		must.Eq(t, potLines, must1(readConfFile(s.root+"/etc/pf.d/pot.conf")))
	})
	t.Run("without pfctl it is an error, unless no line is pot's", func(t *testing.T) {
		s, h, _ := host(t, potLines)
		s.runner = missing{}
		err := s.undo(t.Context())
		must.ErrorIs(t, err, run.ErrNotFound)
		s.runner = noPfctl{h}
		must.ErrorContains(t, s.undo(t.Context()), "anchors from pf.conf: pfctl(8) is not installed")
		must.Eq(t, potLines, pfText(t, s))
		must.NoError(t, os.WriteFile(s.root+"/etc/pf.conf", []byte("pass\n"), 0o644))
		must.NoError(t, s.undo(t.Context()))
	})
}

// noPfctl is a host that has all but pfctl.
type noPfctl struct{ run.Runner }

func (n noPfctl) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	if argv[0] == "pfctl" {
		return missing{}.Run(ctx, stdin, argv...)
	}
	return n.Runner.Run(ctx, stdin, argv...)
}

func TestWriteConfFile(t *testing.T) {
	leak.Check(t)
	files := func(dir string) string {
		var names []string
		for _, e := range must1(os.ReadDir(dir)) {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	t.Run("a link stays, and its target keeps mode and owner", func(t *testing.T) {
		dir := t.TempDir()
		must.NoError(t, os.Mkdir(dir+"/real", 0o755))
		must.NoError(t, os.WriteFile(dir+"/real/pf.conf", []byte("old"), 0o600))
		owner := os.Geteuid()
		if owner == 0 { // only root can give files away
			owner = 1234
			must.NoError(t, os.Chown(dir+"/real/pf.conf", owner, owner))
		}
		must.NoError(t, os.Chmod(dir+"/real/pf.conf", 0o606))
		must.NoError(t, os.Symlink("real/pf.conf", dir+"/pf.conf"))
		must.NoError(t, writeConfFile(dir+"/pf.conf", "new"))
		must.Eq(t, "real/pf.conf", must1(os.Readlink(dir+"/pf.conf")))
		info := must1(os.Stat(dir + "/real/pf.conf"))
		must.Eq(t, 0o606, info.Mode())
		must.Eq(t, owner, int(info.Sys().(*syscall.Stat_t).Uid))
		must.Eq(t, "new", must1(readConfFile(dir+"/pf.conf")))
		must.Eq(t, "pf.conf real", files(dir))
		must.Eq(t, "pf.conf pf.conf.before-pot", files(dir+"/real"))
		must.NoError(t, writeConfFile(dir+"/pf.conf", "newer"))
		must.Eq(t, "old", must1(readConfFile(dir+"/real/pf.conf.before-pot")))
	})
	t.Run("a new file is for all to read", func(t *testing.T) {
		defer syscall.Umask(syscall.Umask(0o077))
		dir := t.TempDir()
		must.NoError(t, writeConfFile(dir+"/pf.conf", "new"))
		must.FileMode(t, dir+"/pf.conf", 0o644)
		must.Eq(t, "pf.conf", files(dir))
	})
	t.Run("a link to nothing is no missing file", func(t *testing.T) {
		dir := t.TempDir()
		must.NoError(t, os.Symlink("gone", dir+"/pf.conf"))
		_, err := readConfFile(dir + "/pf.conf")
		must.EqError(t, err, dir+"/pf.conf: this is a link to gone, which does not exist")
		_, err = readConfFile(dir)
		must.ErrorContains(t, err, "not a regular file")
	})
	t.Run("a write that fails leaves the file and nothing else", func(t *testing.T) {
		dir := t.TempDir()
		must.NoError(t, os.MkdirAll(dir+"/pf.conf/in", 0o755)) // no file can replace it
		must.NoError(t, os.WriteFile(dir+"/pf.conf.before-pot", nil, 0o644))
		must.Error(t, writeConfFile(dir+"/pf.conf", "new"))
		must.Eq(t, "pf.conf pf.conf.before-pot", files(dir))
	})
}
