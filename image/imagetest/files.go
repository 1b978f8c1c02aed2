package imagetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image"
)

// HelloFile is the name of the file of the real image.
const HelloFile = HelloName + "_" + HelloTag + ".xz"

// Files returns the contents of the files below dir by their paths in it, without partial
// downloads, which a cache keeps for the next fetch.
func Files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".partial-") {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		all[rel] = string(data)
		return err
	}))
	return all
}

// Names returns the names in dir, whatever they are, sorted.
func Names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// Digest returns the digest of an image of those files; a nil meta is no .meta.
func Digest(t testing.TB, xz, meta []byte) image.Digest {
	t.Helper()
	d, err := image.ParseSkein(Skein(xz, meta))
	must.NoError(t, err)
	return d
}

// Shown returns the digest in a .skein file as messages show it.
func Shown(skein []byte) string { return "skein1024:" + string(skein[:16]) + "…" }
