package supervise

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/exact"
)

// A supervisor outlives the plugin that started it, and a plugin may be upgraded without its
// supervisor or the other way round: what one of any version writes, the other must read.
// The texts here are what the first version wrote; they do not change with the names in Go.
func TestWireFormat(t *testing.T) {
	leak.Check(t)
	at := netip.MustParseAddrPort("127.0.0.1:80")
	ended := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	jail := Jail{ID: 7, StartTicks: 8, Cgroups: []string{"/sys/fs/cgroup/x"}}
	user := Identity{UID: 1, GID: 2, Groups: []uint32{3}}
	t.Run("a task", func(t *testing.T) {
		checkWireFormat(t, Task{
			Dir: "/d", Jail: jail, Argv: []string{"a"}, Env: []string{"B=c"}, WorkDir: "/w", Identity: user,
			Stdout: "/o", Stderr: "/e", OutputBytes: 9,
			Forwards:   []Forward{{Proto: "tcp", Listen: at, To: at}},
			MaxRuntime: 5 * time.Second, OnExit: []string{"/bin/pot", "stop"},
		}, `{"Dir":"/d","Jail":{"id":7,"born":8,"cgroups":["/sys/fs/cgroup/x"]},"Argv":["a"],"Env":["B=c"],"WorkDir":"/w",
			"Identity":{"uid":1,"gid":2,"groups":[3]},"Stdout":"/o","Stderr":"/e","OutputBytes":9,
			"Forwards":[{"proto":"tcp","listen":"127.0.0.1:80","to":"127.0.0.1:80"}],
			"Within":5000000000,"Then":["/bin/pot","stop"]}`)
	})
	t.Run("a command to enter a jail with", func(t *testing.T) {
		checkWireFormat(t, enterRequest{Jail: jail, Argv: []string{"a"}, Env: []string{"B=c"}, Dir: "/w", Identity: user},
			`{"jail":{"id":7,"born":8,"cgroups":["/sys/fs/cgroup/x"]},"argv":["a"],"env":["B=c"],"dir":"/w",
			"identity":{"uid":1,"gid":2,"groups":[3]}}`)
	})
	t.Run("the record of a running command", func(t *testing.T) {
		checkWireFormat(t, Running{Supervisor: 1, PID: 2, Started: ended},
			`{"supervisor":1,"pid":2,"started":"2026-01-02T03:04:05Z"}`)
	})
	t.Run("the record of an exit", func(t *testing.T) {
		checkWireFormat(t, Exit{Code: 137, Signal: 9, Ended: ended, TimedOut: true},
			`{"code":137,"signal":9,"ended":"2026-01-02T03:04:05Z","overdue":true}`)
	})
	t.Run("requests on the control fifo, and the names of files", func(t *testing.T) {
		must.Eq(t, []string{"signal", "unlisten", "forget"}, []string{signalRequest, unlistenRequest, forgetRequest})
		must.Eq(t, []string{"running.json", "exit.json", "alive", "control", "supervisor.log"},
			[]string{runningFile, exitFile, aliveFifo, controlFifo, logFile})
		must.Eq(t, ".1", RotatedSuffix)
	})
}

// checkWireFormat fails the test unless v is encoded as text, but for white space, and text
// is decoded as v.
func checkWireFormat[T any](t *testing.T, v T, text string) {
	t.Helper()
	text = strings.NewReplacer("\n", "", "\t", "").Replace(text)
	data, err := exact.Marshal(v)
	must.NoError(t, err)
	must.Eq(t, text, string(data))
	plain, err := json.Marshal(v) // as records are written
	must.NoError(t, err)
	must.Eq(t, text, string(plain))
	var got T
	must.NoError(t, exact.Unmarshal([]byte(text), &got))
	must.Eq(t, v, got)
}
