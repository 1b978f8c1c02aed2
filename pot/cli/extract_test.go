package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/fetch"
)

// An extraction that is cancelled while files are made returns the cause and leaves none.
func TestExtract_cancelled(t *testing.T) {
	leak.Check(t)
	const file = "../../image/imagetest/testdata/hello-linux_1.0.xz"
	from, err := fetch.ParseLocation(file)
	must.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	dir := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o750))
	for _, name := range []string{"new", "empty"} {
		e := &extract{from: from, to: filepath.Join(dir, name), trust: trust{blindly: true}, bar: &progress{}, warn: func(string) {}}
		_, err = e.run(ctx)
		must.EqError(t, err, "cannot extract "+file+": enough")
	}
	there, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 1, there)
	there, err = os.ReadDir(filepath.Join(dir, "empty"))
	must.NoError(t, err)
	must.SliceEmpty(t, there)
}
