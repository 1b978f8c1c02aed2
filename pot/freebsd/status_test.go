package freebsd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A running pot has a status file with its interfaces.
func TestStatus(t *testing.T) {
	leak.Check(t)
	for name, want := range map[string]string{
		"public": "epair28577a", "dual": "epair19663a:epair20167a", "host": "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m := netModel(t)
			configure := m.configure
			m.configure = func(c *Config) {
				if configure != nil {
					configure(c)
				}
				c.StatusDir = dir
			}
			_, pots := m.host(t)
			s := connections(t)[name]
			file := filepath.Join(dir, "pot_status_"+string(s.Name))
			elsewhere := filepath.Join(t.TempDir(), "x")
			must.NoError(t, os.Symlink(elsewhere, file)) // of someone who may write there
			p, err := pots.Create(t.Context(), s)
			must.NoError(t, err)
			got, err := os.ReadFile(file)
			must.NoError(t, err)
			must.Eq(t, "pot.status=started,"+want+"\n", string(got))
			must.FileNotExists(t, elsewhere)

			must.NoError(t, p.Destroy(t.Context()))
			left, err := os.ReadDir(dir)
			must.NoError(t, err)
			must.SliceEmpty(t, left)
		})
	}
}

// A pot starts where no status can be written.
func TestStatus_nowhere(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	m.configure = func(c *Config) { c.StatusDir = "/nonexistent" }
	_, pots := m.host(t)
	_, err := pots.Create(t.Context(), web(t))
	must.NoError(t, err)
}
