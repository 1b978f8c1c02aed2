package local

import (
	"context"
	"fmt"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// AddDep has another pot started before this one (add-dep, 6.9).
type AddDep struct{ On pot.Name }

// Validate is Setting's.
func (d AddDep) Validate() error {
	if err := d.On.Validate(); err != nil {
		return fmt.Errorf("-P: %w", err)
	}
	return nil
}

// maxDeps bounds how many pots one depends on, all in all.
const maxDeps = 256

func (d AddDep) set(ctx context.Context, s *Pot) error {
	if err := d.leadsTo(ctx, s); err != nil {
		return err
	}
	return s.edit(func(conf *conf.Lines) error {
		for _, on := range conf.Values("pot.depend") {
			if strings.TrimSpace(on) == string(d.On) {
				return nil // once is enough
			}
		}
		return conf.Add("pot.depend", string(d.On))
	})
}

// leadsTo is an error if s would depend on itself, or on what is not there.
func (d AddDep) leadsTo(ctx context.Context, s *Pot) error {
	seen := map[pot.Name]bool{}
	for next := []pot.Name{d.On}; len(next) > 0; {
		name := next[0]
		next = next[1:]
		switch {
		case name == s.name && name == d.On:
			return fmt.Errorf("-P: pot %s cannot depend on itself", s.name)
		case name == s.name:
			return fmt.Errorf("-P: pot %s depends on %s already", d.On, s.name)
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
			continue // what is amiss with it is not of this pot's making
		}
		deps, err := other.Deps()
		if err != nil {
			return err
		}
		next = append(next, deps...)
	}
	return nil
}

// Deps are the pots that are started before this one, in order.
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
