package xz

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// TestVersion checks that a replaced command is asked for its version again.
func TestVersion(t *testing.T) {
	leak.Check(t)
	path := filepath.Join(t.TempDir(), "xz")
	must.Eq(t, 0, version(t.Context(), path))
	for _, want := range []int{50020000, 150040012, 0} {
		must.NoError(t, os.WriteFile(path+".new", fmt.Appendf(nil, "#!/bin/sh\necho XZ_VERSION=%d\n", want), 0o755))
		must.NoError(t, os.Rename(path+".new", path))
		must.Eq(t, want, version(t.Context(), path))
		must.Eq(t, want, version(t.Context(), path))
	}
}
