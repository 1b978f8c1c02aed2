package cli

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"
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
