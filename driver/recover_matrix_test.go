package driver

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// fate is what happens to a task while no plugin runs.
type fate struct {
	args   []string
	memory int64 // MiB
	befall func(t *testing.T, b *bed, h *drivers.TaskHandle)

	cannot    string // the error of RecoverTask; if "", the result of WaitTask is:
	code, sig int
	oom       bool
	unknown   string
	runs      bool   // it has not ended
	unread    string // the error of ExecTask
}

// command returns the process ID of a task's command.
func command(t testing.TB, b *bed, h *drivers.TaskHandle) int {
	var running struct{ PID int }
	data, err := os.ReadFile(recordOf(t, b, h, "running.json"))
	must.NoError(t, err)
	must.NoError(t, json.Unmarshal(data, &running))
	return running.PID
}

func recordOf(t testing.TB, b *bed, h *drivers.TaskHandle, file string) string {
	s, err := readState(h)
	must.NoError(t, err)
	return filepath.Join(b.dir, "pots", s.Pot, file)
}

// ends waits for the exit record.
func ends(t *testing.T, b *bed, h *drivers.TaskHandle) {
	eventually(t, func() error {
		_, err := os.Stat(recordOf(t, b, h, "exit.json"))
		return err
	})
}

func killed(sig syscall.Signal) func(*testing.T, *bed, *drivers.TaskHandle) {
	return func(t *testing.T, b *bed, h *drivers.TaskHandle) {
		must.NoError(t, syscall.Kill(command(t, b, h), sig))
		ends(t, b, h)
	}
}

func damaged(file, text string) func(*testing.T, *bed, *drivers.TaskHandle) {
	return func(t *testing.T, b *bed, h *drivers.TaskHandle) {
		if file == "exit.json" {
			killed(syscall.SIGKILL)(t, b, h)
		}
		must.NoError(t, os.WriteFile(recordOf(t, b, h, file), []byte(text), 0o600))
	}
}

// jailGone removes a task's jail, with all that runs in it.
func jailGone(t *testing.T, b *bed, h *drivers.TaskHandle) {
	s, err := readState(h)
	must.NoError(t, err)
	must.NoError(t, b.driver.current().pots.Host().Jails.Remove(context.Background(), pot.Name(s.Pot)))
	ends(t, b, h)
}

// rebooted leaves what a restart of the machine leaves of a task: what is on disk.
func rebooted(t *testing.T, b *bed, h *drivers.TaskHandle) {
	killAll(t, b, h)
	s, err := readState(h)
	must.NoError(t, err)
	host, name := b.driver.current().pots.Host(), pot.Name(s.Pot)
	must.NoError(t, host.Jails.Remove(context.Background(), name))
	must.NoError(t, host.Links.Detach(context.Background(), name))
	dir, err := host.Datasets.Dir(context.Background(), s.Pot)
	must.NoError(t, err)
	must.NoError(t, host.Mounts.UnmountAll(context.Background(), filepath.Join(dir, "m")))
}

var fates = map[string]fate{
	"it runs":                    {args: []string{"sleep", "1h"}, befall: func(*testing.T, *bed, *drivers.TaskHandle) {}, runs: true},
	"it ends well":               {args: []string{"exit", "0"}, befall: ends},
	"it ends with a code":        {args: []string{"exit", "3"}, befall: ends, code: 3},
	"a signal ends it":           {args: []string{"sleep", "1h"}, befall: killed(syscall.SIGTERM), code: 143, sig: 15},
	"it is killed":               {args: []string{"sleep", "1h"}, befall: killed(syscall.SIGKILL), code: 137, sig: 9},
	"it takes too much memory":   {args: []string{"eat", "256"}, memory: 32, befall: ends, code: 137, sig: 9, oom: true},
	"its jail is removed":        {args: []string{"sleep", "1h"}, befall: jailGone, code: 137, sig: 9},
	"the machine is restarted":   {args: []string{"sleep", "1h"}, befall: rebooted, unknown: "exit status of the command is unknown: its supervisor is gone"},
	"its exit record is damaged": {args: []string{"sleep", "1h"}, befall: damaged("exit.json", "{"), unknown: "exit status of the command is unknown"},
	"its record is damaged":      {args: []string{"sleep", "1h"}, befall: damaged("record.json", "{"), runs: true, unread: "record.json: unexpected end of JSON input"},
	"its running record is damaged": {args: []string{"sleep", "1h"}, befall: damaged("running.json", "{"),
		unknown: "exit status of the command is unknown: "},
	"its record is of another age": {args: []string{"sleep", "1h"}, befall: damaged("record.json", `{"version": 0}`), runs: true, unread: "version 0 is not supported: this driver reads version 1"},
	"its record is gone": {args: []string{"sleep", "1h"}, befall: func(t *testing.T, b *bed, h *drivers.TaskHandle) {
		must.NoError(t, os.Remove(recordOf(t, b, h, "record.json")))
	}, cannot: "no such pot: web_"},
}

// fateModes are the networks that the tasks have, by what the matrix adds to their names.
var fateModes = map[string]string{"": "", ", in the network of its group": `network_mode = "group"`}

// Whatever happens to a task while no plugin runs, the next plugin, of another version too,
// returns how it ended or that this is unknown, and can destroy it.
func TestDriver_RecoverTask_matrix(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	handles := map[string]*drivers.TaskHandle{}
	all := map[string]fate{}
	for where, mode := range fateModes {
		for name, f := range fates {
			cfg := b.task(t, mode, f.args...)
			if f.memory > 0 {
				cfg.Resources.NomadResources.Memory.MemoryMB = f.memory
			}
			all[name+where] = f
			handles[name+where], _ = b.start(t, cfg)
		}
	}
	old := b.driver
	old.Shutdown(context.Background())
	for name, f := range all {
		f.befall(t, b, handles[name])
	}
	b.version = "9.9.9"
	b.open(t)
	for name, f := range all {
		t.Run(name, func(t *testing.T) {
			h := handles[name]
			id := h.Config.ID
			err := b.RecoverTask(afterRestart(t, h))
			switch {
			case f.cannot != "":
				must.ErrorContains(t, err, f.cannot)
			case f.runs:
				must.NoError(t, err)
				status, err := b.InspectTask(id)
				must.NoError(t, err)
				must.Eq(t, drivers.TaskStateRunning, status.State)
				if f.unread != "" {
					_, err := b.ExecTask(id, []string{"/bin/hello", "id"}, time.Minute)
					must.ErrorContains(t, err, f.unread)
					break
				}
				must.StrContains(t, b.exec(t, id, "id"), "addr 10.213.")
			default:
				must.NoError(t, err)
				result := b.wait(t, id)
				if f.unknown != "" {
					must.ErrorContains(t, result.Err, f.unknown)
					must.False(t, result.Successful())
					break
				}
				must.NoError(t, result.Err)
				must.Eq(t, []any{f.code, f.sig, f.oom}, []any{result.ExitCode, result.Signal, result.OOMKilled})
			}
			// Nomad destroys tasks that ended, and tasks that could not be recovered.
			must.NoError(t, b.StopTask(id, 5*time.Second, ""))
			if f.runs {
				must.Eq(t, 143, b.wait(t, id).ExitCode)
			}
			must.NoError(t, b.DestroyTask(id, true))
		})
	}
	nothingLeft(t, b.dir)
}
