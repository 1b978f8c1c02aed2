package hosttest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot/life"
)

// testStreams lets programs of a user other than root open their standard streams by name,
// as many do to write a log. nginx and httpd images link their logs there. On Linux that
// opens the file again, with the user's rights (proc(5), /proc/PID/fd), while root has
// created it.
func testStreams(t *testing.T, bed Bed) {
	byName := func(name, text string) []string { return []string{"/bin/hello", "write", name, text} }
	for _, name := range []string{"/dev/stdout", "/dev/stderr", "/dev/fd/1"} {
		t.Run("a command can open its output, a file, as "+name, func(t *testing.T) {
			s := spec("streams")
			s.Command, s.User = byName(name, "by name"), "web"
			tk := start(t, bed, s)
			must.Eq(t, 0, tk.wait(t).Code, must.Sprint(tk.output(t)))
			tk.says(t, "by name")
		})
	}
	t.Run("a command can open its output, a fifo, as /dev/stdout", func(t *testing.T) {
		s := spec("streams")
		s.Command, s.User = byName("/dev/stdout", "by name"), "web"
		tk := create(t, bed, s)
		fifo := filepath.Join(t.TempDir(), "fifo")
		must.NoError(t, syscall.Mkfifo(fifo, 0o600))
		reader, err := os.OpenFile(fifo, os.O_RDWR, 0)
		must.NoError(t, err)
		defer reader.Close()
		must.NoError(t, tk.Destroy(t.Context()))
		s.Stdout, s.Stderr = fifo, fifo
		p, err := tk.pots.Create(t.Context(), s)
		must.NoError(t, err)
		must.NoError(t, p.Start(t.Context(), nil))
		end, err := p.Wait(t.Context())
		must.NoError(t, err)
		must.Eq(t, 0, end.Code)
		text := make([]byte, 7)
		_, err = reader.Read(text)
		must.NoError(t, err)
		must.Eq(t, "by name", string(text))
	})
	tk := start(t, bed, spec("web", "sleep", "1h"))
	for _, terminal := range []bool{false, true} {
		for _, name := range []string{"/dev/stdout", "/dev/stderr"} {
			t.Run("an exec can open its output as "+name, func(t *testing.T) {
				var out, errs strings.Builder
				e := life.Exec{Argv: byName(name, "by name"), User: "web", Stdout: &out, Stderr: &errs, Terminal: terminal}
				exit, err := tk.Exec(t.Context(), e)
				must.NoError(t, err)
				must.Eq(t, 0, exit.Code, must.Sprint(out.String(), errs.String()))
				got := out.String()
				if name == "/dev/stderr" && !terminal {
					got = errs.String()
				}
				must.Eq(t, "by name", strings.TrimSpace(got))
			})
		}
	}
	t.Run("an exec can open its input as /dev/stdin", func(t *testing.T) {
		var out strings.Builder
		exit, err := tk.Exec(t.Context(), life.Exec{
			Argv: []string{"/bin/hello", "cat", "/dev/stdin"}, User: "web", Stdin: strings.NewReader("typed"), Stdout: &out, Stderr: &out,
		})
		must.NoError(t, err)
		must.Eq(t, 0, exit.Code, must.Sprint(out.String()))
		must.Eq(t, "typed", out.String())
	})
}
