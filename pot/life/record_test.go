package life

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

func TestRecord(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	r := &record{
		Version: recordVersion, Dir: "/x", Address: netip.MustParseAddr("10.192.0.2"),
		Spec: pot.Spec{Name: "web", Image: "i", Network: pot.PublicBridge, Command: []string{"a"}}, Created: time.Now().UTC(),
	}
	must.NoError(t, r.write(dir))
	t.Run("a record is read as it was written", func(t *testing.T) {
		got, err := readRecord(dir)
		must.NoError(t, err)
		must.Eq(t, r, got)
	})
	t.Run("only its owner can read it", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(dir, recordFile))
		must.NoError(t, err)
		must.Eq(t, fs.FileMode(0o600), info.Mode().Perm())
	})
	t.Run("a missing record does not exist", func(t *testing.T) {
		_, err := readRecord(t.TempDir())
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("the keys of an older plugin are read", func(t *testing.T) {
		dir := t.TempDir()
		must.NoError(t, os.WriteFile(filepath.Join(dir, recordFile), []byte(`{"version":1,"spec":{"Own":true,"Then":["pot","stop","web"]}}`), 0o600))
		got, err := readRecord(dir)
		must.NoError(t, err)
		must.True(t, got.Spec.InPlace)
		must.Eq(t, []string{"pot", "stop", "web"}, got.Spec.OnExit)
	})
	for name, text := range map[string]string{
		"of another version": `{"version":99}`, "that is cut short": `{"version":1,`, "that is empty": "",
	} {
		t.Run("a record "+name+" is refused by its path", func(t *testing.T) {
			dir := t.TempDir()
			must.NoError(t, os.WriteFile(filepath.Join(dir, recordFile), []byte(text), 0o600))
			_, err := readRecord(dir)
			must.ErrorContains(t, err, filepath.Join(dir, recordFile))
		})
	}
}

func TestEnvironment(t *testing.T) {
	leak.Check(t)
	got := environment(user{name: "web", home: "/www"}, []string{"A=image", "B=image"}, []string{"B=task", "PATH=/bin", "C="})
	must.Eq(t, []string{"PATH=/bin", "HOME=/www", "USER=web", "A=image", "B=task", "C="}, got)
}
