package supervise

import "os"

// enter runs start, with attr saying that the child attaches to the jail before
// it executes anything (jail_attach(2)).
func (j Jail) enter(attr *os.ProcAttr, start func() error) error {
	attr.Sys.Jail = j.ID
	return start()
}
