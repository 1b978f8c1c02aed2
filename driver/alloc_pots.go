package driver

import (
	"strings"

	"nomad-driver-pot/pot/life"
)

// allocPots returns the pots of an allocation's tasks and of its group's network: of the
// plugin's tasks, and of others that an earlier plugin has started. A pot whose record is
// damaged, or that is destroyed meanwhile, is left out.
func allocPots(pots *life.Pots, alloc string) (found []*life.Pot, err error) {
	names, err := pots.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !strings.HasSuffix(string(name), "_"+alloc) { // TaskID.PotName
			continue
		}
		if p, err := pots.Find(name); err == nil && !p.InPlace() && p.Label(labelAlloc) == alloc {
			found = append(found, p)
		}
	}
	return found, nil
}
