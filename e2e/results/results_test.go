package results

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m.Run)) }

func TestResult(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(dir+"/commit", []byte("fb981e2ab123\n"), 0o644))
	r := New(dir, "chaos", "2")
	must.Eq(t, "fb981e2ab123", r.Commit)
	must.StrContains(t, r.Machine, "cores")
	r.Columns, r.Rows, r.Text = []string{"fault", "count"}, [][]string{{"disk full", "3"}}, "10m0s, passed"
	must.NoError(t, r.Write(dir))
	r.Rows[0][1] = "4"
	must.NoError(t, r.Write(dir)) // replaces the first
	first := r
	first.Key, first.Date = "1", time.Date(2026, 11, 28, 9, 5, 0, 0, time.UTC)
	must.NoError(t, first.Write(dir))
	all, err := Read(dir)
	must.NoError(t, err)
	must.Eq(t, []Result{first, r}, all)
	first.Machine = "a machine"
	var b strings.Builder
	first.WriteMarkdown(&b)
	must.Eq(t, `### chaos 1

10m0s, passed

2026-11-28 09:05 UTC, commit fb981e2ab123, a machine

| fault | count |
| --- | --- |
| disk full | 4 |
`, b.String())
}
