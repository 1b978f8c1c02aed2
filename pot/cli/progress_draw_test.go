package cli

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// The line is drawn again while nothing is counted, and never longer than the terminal is
// wide, also when that changes.
func TestProgress_moves(t *testing.T) {
	leak.Check(t)
	t.Setenv("TERM", "xterm")
	master, tty, err := pty.Open()
	must.NoError(t, err)
	defer master.Close()
	const wide, narrow = 100, 30
	must.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: wide}))
	p := newProgress(tty)
	count := p.of("compressing a big block of web_1.0.xz")
	must.NotNil(t, count)
	count(10<<20, 100<<20) // and then nothing

	var shown strings.Builder
	until := func(text string) {
		buf := make([]byte, 4096)
		for from := shown.Len(); !strings.Contains(shown.String()[from:], text); {
			n, err := master.Read(buf)
			must.NoError(t, err)
			shown.Write(buf[:n])
		}
	}
	until("[1s:")
	must.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: narrow}))
	until("…")
	until("[2s")
	p.done()
	_, err = io.WriteString(tty, "the end") // a close may discard what was not read (FreeBSD)
	must.NoError(t, err)
	until("the end")
	must.NoError(t, tty.Close())
	lines := strings.Split(strings.TrimSuffix(shown.String(), "the end"), "\r")
	for i, line := range lines {
		must.Less(t, wide, utf8.RuneCountInString(line), must.Sprint(i, line))
	}
	must.Eq(t, "", lines[len(lines)-1])
	must.Eq(t, "", strings.TrimSpace(lines[len(lines)-2]), must.Sprint("the line is cleared"))
}

// A terminal that cannot go back in a line gets messages alone, as a log does.
func TestProgress_dumb(t *testing.T) {
	leak.Check(t)
	master, tty, err := pty.Open()
	must.NoError(t, err)
	defer master.Close()
	defer tty.Close()
	t.Setenv("TERM", "dumb")
	must.Nil(t, newProgress(tty).of("exporting web_1.0"))
}
