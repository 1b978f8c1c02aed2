//go:build !linux && !freebsd

package native

import (
	"fmt"
	"runtime"

	"nomad-driver-pot/pot"
)

// Name is the host that Open gives: none.
const Name = ""

// Open refuses: there is no host for this system yet.
func Open(pot.HostConfig) (pot.Host, error) {
	return pot.Host{}, fmt.Errorf("no pots on %s: only on freebsd, and on linux for development", runtime.GOOS)
}
