package driver

import (
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A task runs on the cores that Nomad gives it. So do commands that are run in it.
func TestDriver_cores(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	b.needLimits(t)
	cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
	cfg.Resources.LinuxResources.CpusetCpus = "0"
	b.start(t, cfg)
	status, err := b.InspectTask(cfg.ID)
	must.NoError(t, err)
	own, err := os.ReadFile("/proc/" + status.DriverAttributes["pid"] + "/status")
	must.NoError(t, err)
	for _, text := range []string{string(own), b.exec(t, cfg.ID, "cat", "/proc/self/status")} {
		_, rest, _ := strings.Cut(text, "Cpus_allowed_list:")
		allowed, _, _ := strings.Cut(rest, "\n")
		must.Eq(t, "0", strings.TrimSpace(allowed))
	}
}
