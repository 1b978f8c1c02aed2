package hosttest

import (
	"os"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

// aloneLock is the same path for all tests of the machine: it does not depend on TMPDIR.
const aloneLock = "/tmp/nomad-driver-pot-hosttest.lock"

// Alone waits until no other test of a host runs on this machine, in any package, and keeps
// others waiting until this test ends: tests look for leftovers of pots on the whole machine.
func Alone(t testing.TB) {
	t.Helper()
	unlock, err := Lock()
	must.NoError(t, err)
	t.Cleanup(unlock)
}

// Lock is Alone for a TestMain. The caller must call unlock.
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
