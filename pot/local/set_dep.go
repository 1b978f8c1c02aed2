package local

import (
	"context"
	"fmt"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// AddDep adds a pot that is started before this one (add-dep). Adding it again changes
// nothing. pot accepts cycles, whose start ends only because each pot is starting already.
type AddDep struct{ On pot.Name }

// Validate implements Change.Validate.
func (d AddDep) Validate() error {
	if err := d.On.Validate(); err != nil {
		return fmt.Errorf("-P: %w", err)
	}
	return nil
}

// maxDeps bounds how many pots a pot depends on, directly and indirectly. A start starts
// them one after the other.
const maxDeps = 256

func (d AddDep) apply(ctx context.Context, s *Pot) error {
	if err := d.checkCycle(ctx, s); err != nil {
		return err
	}
	return s.edit(func(conf *conf.Lines) error {
		for _, on := range conf.Values("pot.depend") {
			if strings.TrimSpace(on) == string(d.On) {
				return nil
			}
		}
		return conf.Add("pot.depend", string(d.On))
	})
}

// checkCycle returns an error if s would depend on itself, or on a pot that does not exist.
func (d AddDep) checkCycle(ctx context.Context, s *Pot) error {
	seen := map[pot.Name]bool{}
	for next := []pot.Name{d.On}; len(next) > 0; {
		name := next[0]
		next = next[1:]
		switch {
		case name == s.name && name == d.On:
			return fmt.Errorf("-P: pot %s cannot depend on itself", s.name)
		case name == s.name:
			return fmt.Errorf("-P: pot %s already depends on %s", d.On, s.name)
		case seen[name]:
			continue
		case len(seen) == maxDeps:
			return fmt.Errorf("-P: pot %s depends on more than %d others", d.On, maxDeps)
		}
		seen[name] = true
		other, err := Open(ctx, s.host, name)
		if err != nil && name == d.On {
			return fmt.Errorf("-P: %w", err)
		}
		if err != nil {
			continue // a broken dependency of another pot is not this change's
		}
		deps, err := other.Deps()
		if err != nil {
			return err
		}
		next = append(next, deps...)
	}
	return nil
}

// Deps returns the pots that are started before this one, in order. They need not exist:
// pots can be destroyed while others depend on them, as in pot.
func (s *Pot) Deps() ([]pot.Name, error) {
	conf, err := s.Conf()
	if err != nil {
		return nil, err
	}
	var all []pot.Name
	for _, on := range conf.Values("pot.depend") {
		if on = strings.TrimSpace(on); on != "" {
			all = append(all, pot.Name(on))
		}
	}
	return all, nil
}
