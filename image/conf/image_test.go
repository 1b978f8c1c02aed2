package conf

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestRead(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]struct {
		text string
		want Image
	}{
		"an empty file is the zero Image":    {"", Image{}},
		"a value keeps its equals signs":     {"pot.cmd=sh -c A=1\n", Image{Cmd: "sh -c A=1"}},
		"text that is no address is ignored": {"ip=1.2.3.4 auto em0|1.1.1.1\n", Image{Addresses: []netip.Addr{netip.MustParseAddr("1.2.3.4")}}},
		"the last command counts":            {"pot.cmd=a\npot.cmd=b\n", Image{Cmd: "b"}},
		"unknown keys are ignored":           {"pot.level=0\npot.cmdx=no\n\nfrob=1\n", Image{}},
		"an environment loses its quotes":    {"pot.env=\"A=b c\"\npot.env=\"B=\\\"q\\\"\"\n", Image{Env: []string{"A=b c", `B="q"`}}},
		"a user and a working directory":     {"pot.user=www:80\npot.workdir= /srv/a b \n", Image{User: "www:80", WorkDir: "/srv/a b"}},
		"the last line needs no newline":     {"pot.cmd=a", Image{Cmd: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(strings.NewReader(c.text))
			must.NoError(t, err)
			must.Eq(t, c.want, got)
		})
	}
	for name, c := range map[string]struct{ text, want string }{
		"a line without a value":   {"pot.level=0\nfrob\n", `pot.conf:2: must be key=value, not "frob"`},
		"a NUL":                    {"a=\x00\n", `pot.conf:1: must be key=value`},
		"a file that is too large": {strings.Repeat("a=b\n", MaxBytes/4+1), "must be at most 1048576 bytes"},
		"a line that is too long":  {"a=" + strings.Repeat("b", MaxBytes), "too long"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			_, err := Read(strings.NewReader(c.text))
			must.ErrorContains(t, err, c.want)
		})
	}
}

func TestQuoteWords(t *testing.T) {
	leak.Check(t)
	for _, words := range [][]string{
		{"/bin/hello"}, {"/bin/sh", "-c", "exec \"$0\" 'it''s'"}, {"a", "", "'", `\`, "b c\t", "$HOME;*"}, {"A=1"},
	} {
		text := QuoteWords(words)
		must.Eq(t, words, Image{Cmd: text}.Argv(), must.Sprint(text))
	}
	must.Eq(t, `nginx -g 'daemon off;'`, QuoteWords([]string{"nginx", "-g", "daemon off;"}))
}

func FuzzRead(f *testing.F) {
	f.Add("pot.cmd=/bin/hello serve :8080\npot.env=\"A=1\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Read(strings.NewReader(text))
		if err == nil {
			c.Argv()
		}
	})
}

func TestImage_Argv(t *testing.T) {
	leak.Check(t)
	for cmd, want := range map[string][]string{
		"":                        nil,
		"/bin/hello  serve :8080": {"/bin/hello", "serve", ":8080"},
		"nginx -g 'daemon off;'":  {"nginx", "-g", "daemon off;"},
		`sh -c 'echo '\''$A'\'`:   {"sh", "-c", "echo '$A'"},
		"a '' b'c'd ":             {"a", "", "bcd"},
		"a 'b":                    {"/bin/sh", "-c", "exec a 'b"},
		`a "b c"`:                 {"/bin/sh", "-c", `exec a "b c"`},
		`a b\ c`:                  {"/bin/sh", "-c", `exec a b\ c`},
		"a; b":                    {"/bin/sh", "-c", "exec a; b"},
		"A=1 b":                   {"/bin/sh", "-c", "exec A=1 b"},
		"echo $HOME":              {"/bin/sh", "-c", "exec echo $HOME"},
		"echo *":                  {"/bin/sh", "-c", "exec echo *"},
		"a\nb":                    {"/bin/sh", "-c", "exec a\nb"},
	} {
		must.Eq(t, want, Image{Cmd: cmd}.Argv(), must.Sprint(cmd))
	}
}
