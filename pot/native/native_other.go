//go:build !linux && !freebsd

package native

import (
	"fmt"
	"runtime"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
)

// Name is empty: Open returns no host.
const Name = ""

// Open returns an error: no host is implemented for this system.
func Open(potconf.HostConfig) (pot.Host, error) {
	return pot.Host{}, fmt.Errorf("no pots on %s: only on freebsd, and on linux for development", runtime.GOOS)
}
