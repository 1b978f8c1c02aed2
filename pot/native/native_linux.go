package native

import (
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/linux"
)

// Name is the host that Open gives.
const Name = "linux"

// Open is the development host, kept in c.Dir: directories for datasets and
// namespaces for jails. It is not a security boundary.
func Open(c pot.HostConfig) (pot.Host, error) { return linux.New(c.Dir, c.Supervisor) }
