package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// commandLines are commands as published job files have them, most of them for
// nomad-pot-driver, and what runs.
var commandLines = []struct {
	name, command, args string // args is HCL
	want                []string
	event               string // after its beginning; "" for none
}{
	{name: "a value in quotes", command: "nginx", args: `["-g", "'daemon off;'"]`,
		want: []string{"nginx", "-g", "daemon off;"}, event: `config.args[1]: write "daemon off;"`},
	{name: "an option with its value", command: "nginx", args: `["-g 'daemon off;'"]`,
		want: []string{"nginx", "-g", "daemon off;"}, event: `config.args[0]: write "-g", "daemon off;"`},
	{name: "an option with its value, after a blank", command: "nginx", args: `[" -g 'daemon off;'"]`,
		want: []string{"nginx", "-g", "daemon off;"}, event: `config.args[0]: write "-g", "daemon off;"`},
	{name: "a whole command line", command: "nginx -g 'daemon off;'",
		want: []string{"nginx", "-g", "daemon off;"}, event: `config.command: write command = "nginx" and args = ["-g", "daemon off;"]`},
	{name: "a value without quotes", command: "minio", args: `["server", "--config-dir /usr/local/etc/minio", "/minio"]`,
		want:  []string{"minio", "server", "--config-dir", "/usr/local/etc/minio", "/minio"},
		event: `config.args[1]: write "--config-dir", "/usr/local/etc/minio"`},
	{name: "an empty argument alone", command: "/usr/local/bin/cook", args: `[""]`,
		want: []string{"/usr/local/bin/cook"}, event: `config.args: leave out [""]`},
	{name: "several values in quotes", command: "/usr/local/bin/cook", args: `["-h", "'Param 1'", "-n", "'Param 2'"]`,
		want:  []string{"/usr/local/bin/cook", "-h", "Param 1", "-n", "Param 2"},
		event: `config.args[1]: write "Param 1"; config.args[3]: write "Param 2"`},
	{name: "a value in double quotes", command: "/usr/local/bin/cook", args: `["-a", "\"40 23 * * 6\""]`,
		want: []string{"/usr/local/bin/cook", "-a", "40 23 * * 6"}, event: `config.args[1]: write "40 23 * * 6"`},
	{name: "a script for a shell", command: "/bin/sh", args: `["-c", "echo 'a b'; ls"]`,
		want: []string{"/bin/sh", "-c", "echo 'a b'; ls"}},

	{name: "a shell as a command line", command: "/bin/sh -c ls", args: `["/etc"]`,
		want: []string{"/bin/sh", "-c", "ls", "/etc"}, event: `config.command: write command = "/bin/sh" and args = ["-c", "ls", "/etc"]`},
	{name: "a command with a blank after it", command: "nginx ", want: []string{"nginx"}, event: `config.command: write command = "nginx"`},
	{name: "a command that no shell could read", command: "nginx -g 'daemon", want: []string{"nginx -g 'daemon"}},
	{name: "several options", command: "/bin/x", args: `["-a 1 --bee '2 3' -c"]`,
		want: []string{"/bin/x", "-a", "1", "--bee", "2 3", "-c"}, event: `config.args[0]: write "-a", "1", "--bee", "2 3", "-c"`},
	{name: "the backslashes of a pattern", command: "/bin/x", args: `["\"\\\\d+\\\\.\\\"\"", "-e \"^\\\\w+$\""]`,
		want: []string{"/bin/x", `\d+\."`, "-e", `^\w+$`}, event: `config.args[0]: write "\\d+\\.\""; config.args[1]: write "-e", "^\\w+$"`},
	{name: "arguments that are one", command: "/bin/x",
		args: `["-v is verbose", "-Dname=a b", "--title='a b'", "- item", "-- x y", "it's", "'a' 'b'", "'a\"", "-g 'daemon", "-f #fff", "", "a -b c"]`,
		want: []string{"/bin/x", "-v is verbose", "-Dname=a b", "--title='a b'", "- item", "-- x y", "it's", "'a' 'b'", "'a\"", "-g 'daemon", "-f #fff", "", "a -b c"}},
}

func TestCommandLine(t *testing.T) {
	leak.Check(t, leak.Foreign)
	for _, tc := range commandLines {
		t.Run(tc.name, func(t *testing.T) {
			config := fmt.Sprintf("command = %q\n", tc.command)
			if tc.args != "" {
				config += "args = " + tc.args
			}
			p, err := backendOf(t, "").plan(taskOf(t, least+config))
			must.NoError(t, err)
			p.line.split(func(string) bool { return false })
			must.Eq(t, tc.want, p.line.argv())
			want := tc.event
			if want != "" {
				want = "Read as a shell would, since no shell runs the command: " + want
			}
			must.Eq(t, want, p.line.report(nil))
		})
	}
}

// An empty argument without a command is none either: published jobs have it.
func TestCommandLine_none(t *testing.T) {
	leak.Check(t, leak.Foreign)
	p, err := backendOf(t, "").plan(taskOf(t, least+`args = [""]`))
	must.NoError(t, err)
	must.Nil(t, p.line.argv())
}

// An event has no value of the task's environment, where secrets are.
func TestCommandLine_secret(t *testing.T) {
	leak.Check(t, leak.Foreign)
	l := (&TaskConfig{Command: "web", Args: []string{"--password hunter2"}}).commandLine()
	must.Eq(t, []string{"web", "--password", "hunter2"}, l.argv())
	must.StrHasSuffix(t, `config.args[0]: write "--password", "${PASSWORD}"`, l.report(map[string]string{"PASSWORD": "hunter2", "NOMAD_TASK_NAME": "args"}))
}

// A command with blanks is not split if it is a file of the pot.
func TestHasFile(t *testing.T) {
	leak.Check(t, leak.Foreign)
	dir := t.TempDir()
	image, local := filepath.Join(dir, "image"), filepath.Join(dir, "local")
	for _, d := range []string{image + "/usr/local/bin", image + "/opt/a dir", local} {
		must.NoError(t, os.MkdirAll(d, 0o755))
	}
	for _, f := range []string{image + "/usr/local/bin/my app", image + "/opt/run me", image + "/local", local + "/a script", dir + "/out side", dir + "/one file"} {
		must.NoError(t, os.WriteFile(f, nil, 0o755))
	}
	must.NoError(t, os.Symlink("/usr/local/bin/my app", image+"/opt/link to it"))
	must.NoError(t, os.Symlink(dir+"/out side", image+"/opt/link out"))
	must.NoError(t, os.Symlink("../../out side", image+"/opt/up out"))
	must.NoError(t, os.Symlink(image+"/opt", dir+"/became a link"))
	s := &pot.Spec{
		WorkDir: "/opt",
		Mounts:  []pot.Mount{{Source: local, Target: "/local", Resolved: true}, {Source: dir + "/became a link", Target: "/linked", Resolved: true}},
		Copies:  []tree.Copy{{Source: dir + "/one file", Target: "/srv/one file"}},
	}
	for command, want := range map[string]bool{
		"/opt/run me":          true,
		"./run me":             true,
		"/opt/../opt/run me":   true,
		"/opt/link to it":      true,
		"/opt/link out":        false,
		"/opt/up out":          false,
		"/opt/a dir":           false,
		"/opt/run me -x":       false,
		"my app":               true,
		"my app -x":            false,
		"/local/a script":      true,
		"/local/a script -x":   false,
		"/linked/run me":       false,
		"/srv/one file":        true,
		"/opt/run me/of a dir": false,
	} {
		must.Eq(t, want, hasFile(image, s, "", command), must.Sprint(command))
	}
	must.False(t, hasFile(image, s, "/bin:relative", "my app"))
	must.False(t, hasFile(dir+"/nothing", s, "", "my app"))
}

// The plugin splits a command line, and runs a file with a blank in its name as it is.
func TestDriver_commandLine(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, "command = \"/bin/hello exit 3\"\nnetwork_mode = \"none\"")
	b.start(t, cfg)
	must.Eq(t, 3, b.wait(t, cfg.ID).ExitCode)

	cfg = b.task(t, "command = \"/local/my app\"\nargs = [\"exit\", \"4\"]\nnetwork_mode = \"none\"")
	writeProgram(t, cfg)
	b.start(t, cfg)
	must.Eq(t, 4, b.wait(t, cfg.ID).ExitCode)
}

// writeProgram copies the image's program to a file of the task's own directory.
func writeProgram(t *testing.T, cfg *drivers.TaskConfig) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(helloTree(t, ""), "bin/hello"))
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(cfg.TaskDir().LocalDir, "my app"), data, 0o755))
}
