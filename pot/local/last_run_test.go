package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

func TestLastExitCode(t *testing.T) {
	leak.Check(t)
	s, h := newPot(t, "web")
	ps := life.Open(h.host(), potconf.Config{Dir: t.TempDir()})
	_, err := LastExitCode(t.Context(), ps, "web")
	must.ErrorIs(t, err, os.ErrNotExist)
	at := filepath.Join(s.dir, runStatsFile)
	must.NoError(t, os.WriteFile(at, []byte("{ \"ExitCode\": 7 }\n"), 0o644)) // as pot writes it
	code, err := LastExitCode(t.Context(), ps, "web")
	must.NoError(t, err)
	must.Eq(t, 7, code)
	must.NoError(t, os.WriteFile(at, []byte("{"), 0o644))
	_, err = LastExitCode(t.Context(), ps, "web")
	must.ErrorContains(t, err, runStatsFile)
}
