package native

import (
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/linux"
	"nomad-driver-pot/pot/potconf"
)

// Name is the name of the host that Open returns.
const Name = "linux"

// Open returns the development host, with its datasets and state in c.Dir. It is not a
// security boundary.
func Open(c potconf.HostConfig) (pot.Host, error) { return linux.New(c.Dir, c.Supervisor) }
