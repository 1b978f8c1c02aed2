package native

import (
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/linux"
)

// Name is the host that Open gives.
const Name = "linux"

// Open is the development host, kept in dir: directories for datasets and
// namespaces for jails. supervisor is the path of pot-supervisor. It is not a
// security boundary.
func Open(dir, supervisor string) (pot.Host, error) { return linux.New(dir, supervisor) }
