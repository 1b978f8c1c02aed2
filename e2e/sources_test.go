package e2e

import (
	"os"
	"os/exec"
	"testing"

	"nomad-driver-pot/e2e/need"
)

// needSources skips a test of the sources, or with programs of their own, where the
// sources or Go are missing: on a host that runs the bundle.
func needSources(t *testing.T) {
	t.Helper()
	_, noModule := os.Stat("../go.mod")
	_, noGo := exec.LookPath("go")
	need.Have(t, "go", noModule == nil && noGo == nil)
}
