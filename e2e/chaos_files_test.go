//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
)

func init() {
	faults = append(faults,
		fault{name: "record damaged", do: damageRecord},
		fault{name: "running record damaged", do: func(x *chaos) { x.damageUnseen("running.json") }},
		fault{name: "exit record damaged", do: damageExit},
		fault{name: "address file damaged", do: damageAddress},
		fault{name: "cached image damaged", do: damageCache},
	)
}

// damage cuts a file, empties it, or fills it with other bytes.
func (x *chaos) damage(file string) {
	x.Helper()
	data, err := os.ReadFile(file)
	must.NoError(x, err)
	switch x.rand.IntN(3) {
	case 0:
		data = data[:len(data)/2]
	case 1:
		data = nil
	default:
		for i := range min(len(data), 64) {
			data[i] = byte(x.rand.Uint32())
		}
	}
	x.Logf("  %s has %d bytes now", file, len(data))
	must.NoError(x, os.WriteFile(file, data, 0o600))
}

// damageUnseen damages a file of a task's pot while no plugin runs, so that the next one
// must read it.
func (x *chaos) damageUnseen(name string) {
	x.Helper()
	v := x.victim()
	x.KillAgent()
	killPlugin(x.T, x.Cluster)
	x.damage(filepath.Join(v.dir, name))
	must.NoError(x, x.StartAgent(ctx(x.T)))
}

// damageRecord damages a pot's record. Its task runs on, but no command can be run in it
// until a user restarts it.
func damageRecord(x *chaos) {
	x.damageUnseen("record.json")
	for job := range longJobs {
		until(x.T, func() error { return x.Allocations().RestartAllTasks(x.alloc(job), nil) })
	}
}

// damageExit damages the record of an end that nobody has read.
func damageExit(x *chaos) {
	v := x.victim()
	x.KillAgent()
	killPlugin(x.T, x.Cluster)
	must.NoError(x, syscall.Kill(v.pid, syscall.SIGKILL))
	file := filepath.Join(v.dir, "exit.json")
	until(x.T, func() error { _, err := os.Stat(file); return err })
	x.damage(file)
	must.NoError(x, x.StartAgent(ctx(x.T)))
}

// damageAddress damages the file of an address that a pot has, and restarts its task, which
// must then have an address that is its own.
func damageAddress(x *chaos) {
	files, err := filepath.Glob(filepath.Join(x.state, "addresses", "10.*"))
	must.NoError(x, err)
	must.SliceNotEmpty(x, files)
	file := files[x.rand.IntN(len(files))]
	x.damage(file)
	x.Cleanup(func() {
		// The driver replaces a damaged file only when it allocates the address again.
		if data, err := os.ReadFile(file); err == nil && pot.Name(data).Validate() != nil {
			must.NoError(x, os.Remove(file))
		}
	})
	for job := range longJobs {
		until(x.T, func() error { return x.Allocations().RestartAllTasks(x.alloc(job), nil) })
	}
}

// damageCache damages the files of a cached image; the next task needs them if it pulls.
func damageCache(x *chaos) {
	found := 0
	err := filepath.WalkDir(filepath.Join(x.state, "cache"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			x.damage(path)
			found++
		}
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		must.NoError(x, err)
	}
	x.Logf("  %d files", found)
}
