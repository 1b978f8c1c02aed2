package cli_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot/cli"
)

// onTerminal returns the output of a command whose stderr is a terminal.
func onTerminal(t *testing.T, args ...string) string {
	t.Helper()
	t.Setenv("TERM", "xterm") // a run by ssh has none, or dumb
	master, tty, err := pty.Open()
	must.NoError(t, err)
	must.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 120}))
	shown := make(chan string)
	go func() {
		b, _ := io.ReadAll(master) // which ends in an error when tty is closed
		shown <- string(b)
	}()
	status := cli.Main(args, io.Discard, tty)
	must.NoError(t, tty.Close())
	text := <-shown
	must.NoError(t, master.Close())
	must.Eq(t, 0, status, must.Sprint(text))
	return text
}

// slow sends a file in ten parts, with or without its length.
func slow(length bool) imagetest.Fault {
	return func(w http.ResponseWriter, r *http.Request, file []byte) {
		if length {
			w.Header().Set("Content-Length", strconv.Itoa(len(file)))
		}
		imagetest.Trickle(150*time.Millisecond)(w, r, file)
	}
}

// On a terminal a download shows bytes done and in total, rate, elapsed and remaining time;
// if the length is not known, only bytes done and rate.
var (
	bar     = regexp.MustCompile(`verifying +\d+% \|█+ *\| \([\d.]+/\d+ [KM]iB, [\d.]+ [KM]?i?B/s\) \[\d+s:\d+s\]`)
	spinner = regexp.MustCompile(`verifying \([\d.]+ [KM]iB, [\d.]+ [KM]?i?B/s\)`)
	freed   = regexp.MustCompile(`\r +\r(pot: left out: .*\r\n)*$`)
)

func TestProgress_terminal(t *testing.T) {
	leak.Check(t)
	name := imagetest.HelloName + "_" + imagetest.HelloTag + ".xz"
	for length, want := range map[bool]*regexp.Regexp{true: bar, false: spinner} {
		server := imagetest.NewServer(t)
		server.Fail(name, slow(length))
		text := onTerminal(t, "pot", "image", "extract", server.URL+"/"+name, filepath.Join(t.TempDir(), "new"))
		must.True(t, want.MatchString(text), must.Sprintf("%q", text))
		must.StrContains(t, text, "extracting")
		must.True(t, freed.MatchString(text), must.Sprintf("%q", text))
	}
}

// Without a terminal nothing is shown, also if stderr is a file.
func TestProgress_file(t *testing.T) {
	leak.Check(t)
	server := imagetest.NewServer(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	must.NoError(t, err)
	defer f.Close()
	name := imagetest.HelloName + "_" + imagetest.HelloTag + ".xz"
	must.Eq(t, 0, cli.Main([]string{"pot", "image", "verify", server.URL + "/" + name}, io.Discard, f))
	info, err := f.Stat()
	must.NoError(t, err)
	must.Eq(t, 0, info.Size())
}
