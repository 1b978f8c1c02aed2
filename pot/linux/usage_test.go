//go:build linux

package linux

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

func TestNumber(t *testing.T) {
	leak.Check(t)
	lines := []byte("rss_huge 7\nrss 4096\nswap 12\n")
	must.Eq(t, 4096, number(lines, "rss"))
	must.Eq(t, 12, number(lines, "swap"))
	must.Eq(t, 0, number(lines, "cache"))
	must.Eq(t, 0, number(nil, "rss"))
	must.Eq(t, 0, number([]byte("rss"), "rss"))
}

// TestGroup2Usage reads files as a machine with control groups of version 2 has them.
func TestGroup2Usage(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cpu.stat":            "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\n",
		"memory.stat":         "anon 8192\nfile 4096\n",
		"memory.swap.current": "512\n",
		"cgroup.procs":        "12\n13\n",
	} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	u, err := group2Usage(dir)
	must.NoError(t, err)
	must.Eq(t, pot.Usage{CPUUser: 2 * time.Second, CPUSystem: time.Second, MemoryBytes: 8192, SwapBytes: 512, Procs: 2}, u)
}
