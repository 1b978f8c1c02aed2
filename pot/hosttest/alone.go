package hosttest

import (
	"os"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

// aloneLock is the same file for all packages, whatever their directory for temporary
// files.
const aloneLock = "/tmp/nomad-driver-pot-hosttest.lock"

// Alone waits until no other test of a host runs on this machine, in any package, and makes
// others wait until this test ends: tests look for leftovers on the whole machine.
func Alone(t testing.TB) {
	t.Helper()
	unlock, err := Lock()
	must.NoError(t, err)
	t.Cleanup(unlock)
}

// Lock is Alone for code that is not a test. The kernel releases the lock if the process
// dies. A second call in the same process waits too: flock(2) locks belong to open files.
func Lock() (unlock func(), err error) {
	lock, err := os.OpenFile(aloneLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		lock.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	return func() { lock.Close() }, nil
}
