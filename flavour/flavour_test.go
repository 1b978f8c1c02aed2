package flavour

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/pot/tree"
)

// library returns a library with these files in its directories: "flavours/NAME" in the
// operator's, "here/NAME" in the caller's.
func library(t *testing.T, files map[string]string) *Library {
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		must.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		must.NoError(t, os.WriteFile(at, []byte(text), 0o644))
	}
	l := &Library{WorkDir: filepath.Join(dir, "here"), Dir: filepath.Join(dir, "flavours"), ZFSRoot: "tank/pot"}
	must.NoError(t, os.MkdirAll(l.WorkDir, 0o755))
	must.NoError(t, os.MkdirAll(l.Dir, 0o755))
	return l
}

// settings returns the steps of a flavour with that text.
func settings(t *testing.T, text string) ([]local.Change, error) {
	t.Helper()
	all, err := library(t, map[string]string{"flavours/f": text}).Read("f")
	if err != nil {
		return nil, err
	}
	var found []local.Change
	for _, s := range all[0].Steps {
		found = append(found, s.Setting)
	}
	return found, nil
}

func TestLibrary_Read(t *testing.T) {
	leak.Check(t)
	t.Run("every command becomes the setting that the command line makes of it", func(t *testing.T) {
		got, err := settings(t, "# the web server\n"+
			"\n"+
			"set-attribute -A no-rc-script -V YES\n"+
			"  set-attribute -Apersistent -VNO \n"+
			"set-rss -C 1\t-M 512M\n"+
			"set-env -E A=1 -E B=x=y\n"+
			"export-ports -e 80 -e udp:53:5353\n"+
			"add-dep -v -P db\n"+
			"copy-in -cF -s /etc/passwd -d /usr/local/etc/web\n"+
			"mount-in -rd /etc -m /mnt\n"+
			"mount-in -f data -m /data -w\n"+
			"mount-in -z tank/x -m /x")
		must.NoError(t, err)
		must.Eq(t, []local.Change{
			local.SetAttribute{Name: "no-rc-script", Value: "YES"},
			local.SetAttribute{Name: "persistent", Value: "NO"},
			local.SetRSS{CPUs: "1", Memory: "512M"},
			local.SetEnv{Vars: []string{"A=1", "B=x=y"}},
			local.ExportPorts{Ports: []string{"80", "udp:53:5353"}},
			local.AddDep{On: "db"},
			local.CopyIn{Copy: tree.Copy{Source: "/etc/passwd", Target: "/usr/local/etc/web"}, Parents: true, Running: true},
			local.MountIn{Dir: "/etc", Target: "/mnt", ReadOnly: true},
			local.MountIn{Dataset: "tank/pot/fscomp/data", Target: "/data", Remount: true},
			local.MountIn{Dataset: "tank/x", Target: "/x"},
		}, got)
	})

	t.Run("the rest of a set-cmd line is the command, unchanged", func(t *testing.T) {
		for line, want := range map[string]string{
			`set-cmd -c "nginx -g 'daemon off;'"`: `"nginx -g 'daemon off;'"`, // SetCmd strips pot's quotes
			`set-cmd -c  a  *  $b `:               ` a  *  $b`,
		} {
			got, err := settings(t, line+"\n")
			must.NoError(t, err)
			must.Eq(t, []local.Change{local.SetCmd{Command: want}}, got)
		}
	})

	t.Run("a script without #! is run by /bin/sh", func(t *testing.T) {
		all, err := library(t, map[string]string{"flavours/a.sh": "#!/bin/csh\n", "flavours/b.sh": "true\n"}).Read("a", "b")
		must.NoError(t, err)
		must.Eq(t, []string{"/tmp/a.sh", "web"}, all[0].Script.Argv("/tmp/a.sh", "web"))
		must.Eq(t, []string{"/bin/sh", "/tmp/b.sh", "web"}, all[1].Script.Argv("/tmp/b.sh", "web"))
		must.Nil(t, all[0].Steps)
	})
}

func TestLibrary_Read_refused(t *testing.T) {
	leak.Check(t)
	t.Run("all errors of all flavours are returned, each with its line", func(t *testing.T) {
		l := library(t, map[string]string{
			"flavours/one": "set-attr -A persistent -V NO\nset-attribute -A frob -V 1\nset-rss -C 0 -M 5T\n",
			"here/two":     "set-hosts -H a:10.0.0.1\n\nset-env -E X\nset-cmd  -c sh\nset-cmd -c \n",
			"here/two.sh":  "#!/bin/sh\r\n",
		})
		_, err := l.Read("one", "two", "three")
		must.Eq(t, strings.ReplaceAll(`DIR/one:1: no such flavour command: set-attr; use set-attribute
DIR/one:2: -A: no such attribute: "frob"
DIR/one:3: -C: must be a number of processors, not "0"
DIR/one:3: -M: must be as in 512M, not "5T"
two:1: no such flavour command: set-hosts; use one of add-dep, copy-in, copy-in-flv, export-ports, mount-in, set-attribute, set-cmd, set-env, set-rss
two:3: -E: must be VAR=value, not "X"
two:4: set-cmd: must be "set-cmd -c COMMAND" with single blanks; the rest of the line is the command
two:5: set-cmd: must be "set-cmd -c COMMAND" with single blanks; the rest of the line is the command
two.sh:1: line ends in a carriage return, which would be part of the interpreter's name
no such flavour: three`, "DIR", l.Dir), err.Error())
	})

	t.Run("a line that a shell would change is refused", func(t *testing.T) {
		for line, want := range map[string]string{
			`set-env -E "A=b c"`:                     `set-env: " in "\"A=b" does not quote: lines are split at blanks, and a value cannot have one`,
			`copy-in -s /etc/*.conf -d /etc`:         `copy-in: * in "/etc/*.conf": file name patterns are not supported: pot would expand them`,
			`set-env -E PATH=$PATH`:                  "set-env: $ in \"PATH=$PATH\": variables are not supported: pot would expand them when the pot starts",
			`set-env -E A=a\ b`:                      `set-env: \ in "A=a\\" does not quote: lines are split at blanks, and a value cannot have one`,
			`set-rss -C 1 other -M 5M`:               `set-rss: unexpected argument: "other"`,
			`set-rss -C 1 -- -M 5M`:                  `set-rss: unexpected argument: "--"`,
			`set-rss -p other -C 1`:                  `set-rss: no such flag: -p; a flavour changes the pot that it is applied to`,
			`set-rss -h`:                             `set-rss: no such flag: -h`,
			`set-rss -C`:                             `set-rss: -C: needs a value`,
			"set-rss -C 1\r":                         `line ends in a carriage return, which would be part of its last word`,
			"set-cmd -c a\x1bb":                      `control character "\x1b"`,
			"set-cmd -c \xff":                        `not valid UTF-8`,
			`copy-in -s nosuch -d /x`:                `-s: HERE/nosuch: no such file or directory`,
			`mount-in -f a -z b -m /x`:               `-f and -z are mutually exclusive`,
			`add-dep -P a.b`:                         `-P: must be letters, digits, - and _, and not begin with -, not "a.b"`,
			`export-ports -e :80`:                    `-e: must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not ":80"`,
			`set-attribute -A to-be-pruned -V YES`:   `-A: to-be-pruned is read-only`,
			`set-attribute -A persistent -V perhaps`: `-V: persistent: must be YES or NO, not "perhaps"`,
		} {
			l := library(t, map[string]string{"flavours/f": "set-rss -C 1\n" + line + "\n"})
			_, err := l.Read("f")
			must.EqError(t, err, l.Dir+"/f:2: "+strings.ReplaceAll(want, "HERE", l.WorkDir))
		}
	})
}

func TestLibrary_find(t *testing.T) {
	leak.Check(t)
	l := library(t, map[string]string{
		"flavours/web": "set-rss -C 1\n", "flavours/web.sh": "true\n",
		"here/web":    "set-rss -C 2\n",
		"here/own.sh": "echo own\n",
		"here/dir/f":  "copy-in-flv -s data -d /data\n", "here/dir/data": "x",
		"here/big": strings.Repeat("#", maxCommands+1),
	})
	must.NoError(t, os.Mkdir(filepath.Join(l.Dir, "empty"), 0o755))

	t.Run("the caller's directory comes first, for commands and script separately", func(t *testing.T) {
		f, err := l.Read("web")
		must.NoError(t, err)
		must.Eq(t, local.Change(local.SetRSS{CPUs: "2"}), f[0].Steps[0].Setting)
		must.Eq(t, l.Dir+"/web.sh", f[0].Script.File)
	})
	t.Run("a script can be named with its suffix", func(t *testing.T) {
		f, err := l.Read("own.sh")
		must.NoError(t, err)
		must.Eq(t, "", f[0].File)
		must.Eq(t, "own.sh", f[0].Script.Name)
	})
	t.Run("copy-in-flv finds files beside its flavour", func(t *testing.T) {
		f, err := l.Read("dir/f")
		must.NoError(t, err)
		must.Eq(t, filepath.Join(l.WorkDir, "dir/data"), f[0].Steps[0].Setting.(local.CopyIn).Source)
	})
	t.Run("a directory is not a flavour", func(t *testing.T) {
		_, err := l.Read("empty")
		must.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("a file that is too large is refused", func(t *testing.T) {
		_, err := l.Read("big")
		must.EqError(t, err, "big: more than 65536 bytes")
	})
	t.Run("built-in flavours come last", func(t *testing.T) {
		f, err := l.Read("slim")
		must.NoError(t, err)
		must.Eq(t, "builtin:slim.sh", f[0].Script.File)
		must.Eq(t, "slim.sh", f[0].Script.Name)
	})
	t.Run("a name does not lead out of the directories", func(t *testing.T) {
		for _, name := range []string{"", "../../flavour.go", "\x00", "builtin/../slim"} {
			_, err := l.Read(name)
			must.Error(t, err)
		}
	})
	t.Run("the operator's and the built-in flavours are listed", func(t *testing.T) {
		all, err := l.List()
		must.NoError(t, err)
		var names []string
		for _, f := range all {
			names = append(names, f.Name)
		}
		must.Eq(t, []string{"fbsd-update", "pkg", "slim", "task", "web"}, names)
		must.Eq(t, Found{"web", l.Dir + "/web", l.Dir + "/web.sh"}, all[4])
	})
}

// applied is a Pot that logs what is done to it, and fails at a step of choice.
type applied struct {
	log  []string
	fail string
}

func (a *applied) note(what string) error {
	a.log = append(a.log, what)
	if what == a.fail {
		return errors.New("no space left")
	}
	return nil
}

func (a *applied) Set(_ context.Context, s local.Change) error { return a.note(fmt.Sprintf("%v", s)) }
func (a *applied) Run(_ context.Context, s *Script, out io.Writer) error {
	fmt.Fprintln(out, "output of "+s.Name)
	return a.note("run " + s.Name)
}

func TestApply(t *testing.T) {
	leak.Check(t)
	l := library(t, map[string]string{
		"flavours/a": "set-rss -C 1\nset-rss -C 2\n", "flavours/a.sh": "true\n", "flavours/b": "set-cmd -c sh\n",
	})
	all, err := l.Read("a", "b")
	must.NoError(t, err)

	t.Run("flavours are applied in order, commands before scripts", func(t *testing.T) {
		var p applied
		var out bytes.Buffer
		must.NoError(t, Apply(t.Context(), &p, all, &out))
		must.Eq(t, []string{"{1 }", "{2 }", "run a.sh", "{sh}"}, p.log)
		must.Eq(t, "output of a.sh\n", out.String())
	})
	t.Run("the first error ends it, and names its line", func(t *testing.T) {
		p := applied{fail: "{2 }"}
		must.EqError(t, Apply(t.Context(), &p, all, io.Discard), "flavour a: "+l.Dir+"/a:2: set-rss: no space left")
		must.Eq(t, []string{"{1 }", "{2 }"}, p.log)
		p = applied{fail: "run a.sh"}
		must.EqError(t, Apply(t.Context(), &p, all, io.Discard), "flavour a: "+l.Dir+"/a.sh: no space left")
	})
	t.Run("nothing is applied once the context has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var p applied
		must.ErrorIs(t, Apply(ctx, &p, all, io.Discard), context.Canceled)
		must.SliceEmpty(t, p.log)
	})
}

// A shell splits an accepted line into the same words.
func TestParse_asShell(t *testing.T) {
	leak.Check(t)
	sh, err := exec.LookPath("sh")
	must.NoError(t, err)
	for _, line := range []string{
		"set-rss -C 1 -M 512M", " \tset-env  -E A=1\t-E B=#;|&<>(){}~!%^+,:@  ", "set-env -E Ü=x", "add-dep -P ~root",
	} {
		cmd := exec.Command(sh, "-c", `read -r line; printf '%s\n' $line`)
		cmd.Stdin, cmd.Dir = strings.NewReader(line+"\n"), t.TempDir()
		out, err := cmd.Output()
		must.NoError(t, err)
		words := strings.Fields(line)
		must.NoError(t, literal(words))
		must.Eq(t, strings.Split(strings.TrimSpace(string(out)), "\n"), words)
	}
}

// Any file is either parsed as a whole or refused with the lines of its errors, and every
// step of it is a valid setting of one line.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"set-cmd -c \"nginx -g 'daemon off;'\"\n", "set-attribute -A persistent -V NO\n#\n\nset-rss -C 1", "copy-in -s /etc -d /x -cF",
		"set-env -E A= -E\n", "export-ports -e80 -e udp:1:2", "mount-in -vrwm /x -z a/b", "set-attr", "\r\n", "set-cmd -c \x00",
	} {
		f.Add([]byte(seed))
	}
	l := &Library{WorkDir: "/", ZFSRoot: "tank"}
	f.Fuzz(func(t *testing.T, data []byte) {
		steps, err := l.parse(&file{shown: "f", dir: "/", data: data})
		lines := bytes.Count(data, []byte("\n")) + 1
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				var n int
				if _, err := fmt.Sscanf(line, "f:%d: ", &n); err != nil || n < 1 || n > lines {
					t.Fatalf("an error without its line: %q", line)
				}
			}
			return
		}
		for _, s := range steps {
			if s.Line < 1 || s.Line > lines || s.Setting == nil || s.Setting.Validate() != nil {
				t.Fatalf("invalid step: %+v", s)
			}
			if text := fmt.Sprintf("%+v", s.Setting); strings.ContainsAny(text, "\n\r\x00") {
				t.Fatalf("more than a line: %q", text)
			}
		}
	})
}
