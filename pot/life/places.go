package life

import (
	"fmt"
	"path"
	"slices"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// outerFirst returns mounts in their order, except that a mount on a directory comes before
// the mounts below that directory. at has the place of each target.
func outerFirst(all []pot.Mount, at map[string]string) (sorted []pot.Mount) {
	left := slices.Clone(all)
	for len(left) > 0 {
		i := max(0, slices.IndexFunc(left, func(m pot.Mount) bool {
			return !slices.ContainsFunc(left, func(other pot.Mount) bool {
				target, above := at[m.Target], at[other.Target]
				return target != above && pot.Below(target, above)
			})
		}))
		sorted = append(sorted, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return sorted
}

// placed returns mounts in an order in which none hides another, wherever the links of
// the image lead. resolve returns the place of a target. Two mounts on one place, and a
// mount in a tree that the host fills, are errors.
func placed(all []pot.Mount, resolve func(target string) (string, error)) ([]pot.Mount, error) {
	at, taken := map[string]string{}, map[string]pot.Mount{}
	for _, m := range all {
		place, err := resolve(m.Target)
		if err != nil {
			return nil, fmt.Errorf("%s on %s: %w", m.Source, m.Target, err)
		}
		at[m.Target] = place
		other, both := taken[place]
		switch {
		case place == "/":
			return nil, fmt.Errorf("%s on %s: a link of the image leads to /, and a mount must be below it", m.Source, m.Target)
		case pot.ReservedTarget(place):
			return nil, fmt.Errorf("%s on %s: a link of the image leads to %s, which is reserved for the host", m.Source, m.Target, place)
		case both:
			return nil, fmt.Errorf("%s on %s: a link of the image leads to %s, where %s is mounted", m.Source, m.Target, place, other.Source)
		case m.Source != "": // a mount may cover the file system in memory on /tmp
			taken[place] = m
		}
	}
	return outerFirst(all, at), nil
}

// mounts returns all mounts of a pot, /tmp included, in their order, except that a mount on
// a directory comes before the mounts below it, which it would hide.
func mounts(s *pot.Spec, a conf.Attributes) []pot.Mount {
	all := slices.Clone(s.Mounts)
	if !a.On("no-tmpfs") {
		all = append([]pot.Mount{{Target: "/tmp"}}, all...)
	}
	at := map[string]string{}
	for _, m := range all {
		at[m.Target] = path.Clean(m.Target)
	}
	return outerFirst(all, at)
}
