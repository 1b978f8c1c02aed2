//go:build linux

package linux

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
)

// Leftovers of a rename that a crash interrupted affect neither dataset.
func TestDatasets_Rename_afterCrash(t *testing.T) {
	leak.Check(t)
	d := datasets{dir: t.TempDir()}
	must.NoError(t, d.prepare())
	must.NoError(t, os.Mkdir(d.path("from"), 0o755))
	must.NoError(t, d.SetLabels(t.Context(), "from", map[string]string{"a": "new"}))
	must.NoError(t, d.writeLabels("to", labelFile{Labels: map[string]string{"b": "of nothing"}}))
	must.NoError(t, d.Rename(t.Context(), "from", "to"))
	labels, err := d.Labels(t.Context(), "to")
	must.NoError(t, err)
	must.Eq(t, map[string]string{"a": "new"}, labels)
	must.FileNotExists(t, d.label("from"))

	t.Run("an image without labels gets none that a crash has left", func(t *testing.T) {
		must.NoError(t, os.Mkdir(d.path("bare"), 0o755))
		must.NoError(t, d.writeLabels("next", labelFile{Labels: map[string]string{"b": "of nothing"}}))
		must.NoError(t, d.Rename(t.Context(), "bare", "next"))
		labels, err := d.Labels(t.Context(), "next")
		must.NoError(t, err)
		must.MapEmpty(t, labels)
	})
	t.Run("a received pot gets none that a crash has left", func(t *testing.T) {
		must.NoError(t, d.writeLabels("pot", labelFile{Labels: map[string]string{"nomad.pot:ref": "of an image"}}))
		must.NoError(t, d.Receive(t.Context(), "pot", xz.NewReader(bytes.NewReader(imagetest.Hello("")))))
		labels, err := d.Labels(t.Context(), "pot")
		must.NoError(t, err)
		must.MapEmpty(t, labels)
	})
	t.Run("a name that is taken keeps its labels", func(t *testing.T) {
		must.NoError(t, os.Mkdir(d.path("other"), 0o755))
		must.NoError(t, d.SetLabels(t.Context(), "other", map[string]string{"c": "other"}))
		must.ErrorIs(t, d.Rename(t.Context(), "other", "to"), fs.ErrExist)
		labels, err := d.Labels(t.Context(), "to")
		must.NoError(t, err)
		must.Eq(t, map[string]string{"a": "new"}, labels)
	})
	t.Run("renaming a dataset that does not exist leaves no labels", func(t *testing.T) {
		must.ErrorIs(t, d.Rename(t.Context(), "none", "nothing"), fs.ErrNotExist)
		must.FileNotExists(t, d.label("nothing"))
	})
}
