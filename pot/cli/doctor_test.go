package cli

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// Results of checks are printed one to a line, or as JSON.
func TestPrintResults(t *testing.T) {
	leak.Check(t)
	found := []pot.CheckResult{
		{Severity: pot.Info, Key: "host", Text: "freebsd"},
		{Severity: pot.Degraded, Key: "limits", Text: "are off: set kern.racct.enable=1"},
		{Severity: pot.Fatal, Key: "devfs", Text: "ruleset 4 is not there: service devfs restart"},
	}
	var out strings.Builder
	must.NoError(t, printResults(&out, found, "text"))
	must.Eq(t, "has    host        freebsd\n"+
		"lacks  limits      are off: set kern.racct.enable=1\n"+
		"needs  devfs       ruleset 4 is not there: service devfs restart\n", out.String())
	out.Reset()
	must.NoError(t, printResults(&out, found, "json"))
	must.StrContains(t, out.String(), `"weight": "needs"`)
	must.StrContains(t, out.String(), `"key": "devfs"`)
}
