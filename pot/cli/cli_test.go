package cli

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
)

func TestMain_statuses(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		status int
		out    string
		err    string
	}{
		"version":               {[]string{"/x/pot", "version"}, 0, "pot " + Version + "\n", ""},
		"help":                  {[]string{"pot", "help"}, 0, "driver \"pot\"", ""},
		"nothing":               {[]string{"pot"}, 2, "", "help"},
		"a command of pot's":    {[]string{"pot", "create", "-p", "test"}, 1, "", "pot: create is not there yet"},
		"a look at this host":   {[]string{"pot", "doctor", "-o", "xml"}, 2, "", "Usage of pot doctor"},
		"one that nobody knows": {[]string{"nomad-driver-pot", "frob"}, 2, "", `nomad-driver-pot: no such command: "frob"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, err strings.Builder
			must.Eq(t, c.status, Main(c.args, &out, &err))
			must.StrContains(t, out.String(), c.out)
			must.StrContains(t, err.String(), c.err)
		})
	}
}

// Findings are told a line each, or as JSON.
func TestTell(t *testing.T) {
	found := []pot.Finding{
		{Weight: pot.Fact, Key: "host", Text: "freebsd"},
		{Weight: pot.Absent, Key: "limits", Text: "are off: set kern.racct.enable=1"},
		{Weight: pot.Fatal, Key: "devfs", Text: "ruleset 4 is not there: service devfs restart"},
	}
	var out strings.Builder
	must.NoError(t, tell(&out, found, "text"))
	must.Eq(t, "has    host        freebsd\n"+
		"lacks  limits      are off: set kern.racct.enable=1\n"+
		"needs  devfs       ruleset 4 is not there: service devfs restart\n", out.String())
	out.Reset()
	must.NoError(t, tell(&out, found, "json"))
	must.StrContains(t, out.String(), `"weight": "needs"`)
	must.StrContains(t, out.String(), `"key": "devfs"`)
}
