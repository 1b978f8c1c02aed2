package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestDriver_mounts(t *testing.T) {
	leak.Check(t, leak.Foreign)
	volume, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(volume+"/there", []byte("from the host\n"), 0o644))
	b := newBed(t, "volumes { enabled = true }")
	cfg := b.task(t, fmt.Sprintf("mount_read_only = [%q]", volume+":/by-path"), "sleep", "1h")
	cfg.Mounts = []*drivers.MountConfig{{HostPath: volume, TaskPath: "/volume"}}
	b.start(t, cfg)

	for target, dir := range map[string]string{
		"/alloc/data": filepath.Join(cfg.TaskDir().SharedAllocDir, "data"),
		"/local":      cfg.TaskDir().LocalDir,
		"/secrets":    cfg.TaskDir().SecretsDir,
		"/volume":     volume,
	} {
		t.Run("a file written to "+target+" is on the host", func(t *testing.T) {
			b.exec(t, cfg.ID, "write", target+"/new", "written in the pot")
			data, err := os.ReadFile(dir + "/new")
			must.NoError(t, err)
			must.Eq(t, "written in the pot\n", string(data))
		})
	}
	for _, target := range []string{"/alloc/logs", "/by-path"} {
		t.Run(target+" is read-only", func(t *testing.T) {
			r, err := b.ExecTask(cfg.ID, []string{"/bin/hello", "write", target + "/new", "x"}, time.Minute)
			must.NoError(t, err)
			must.Eq(t, 1, r.ExitResult.ExitCode)
			must.StrContains(t, string(r.Stderr), "read-only file system")
		})
	}
	must.Eq(t, "from the host\n", b.exec(t, cfg.ID, "cat", "/by-path/there"))
}
