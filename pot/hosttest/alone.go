package hosttest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

// aloneLock is one for the machine: tests may change where temporary files are.
var aloneLock = filepath.Join(os.TempDir(), "nomad-driver-pot-hosttest.lock")

// Alone waits until no other test of a host runs on this machine, in whatever
// package, and keeps others waiting until the end of this one: what pots leave
// behind is looked for on the whole machine.
func Alone(t testing.TB) {
	t.Helper()
	lock, err := os.OpenFile(aloneLock, os.O_CREATE|os.O_RDWR, 0o600)
	must.NoError(t, err)
	t.Cleanup(func() { lock.Close() })
	must.NoError(t, os.NewSyscallError("flock", syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)))
}
