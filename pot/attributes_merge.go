package pot

import (
	"maps"
	"slices"
)

// merge is what a pot gets: the image's where they are allowed, and the spec's
// above them. refused are the image's others, which would have changed something.
// What an image says that is no attribute is passed over, as pot does.
func merge(image, spec Attributes, allowed []string) (all Attributes, refused []string) {
	all = Attributes{}
	for _, name := range slices.Sorted(maps.Keys(image)) {
		value, err := ParseAttribute(name, image[name])
		if err != nil || attributes[name].life || value == attributes[name].initial {
			continue
		}
		// pot gives raw sockets to every jail, and every pot.conf says NO.
		if name == "no-tmpfs" || name == "raw_sockets" {
			continue
		}
		if slices.Contains(allowed, name) {
			all[name] = value
		} else if _, set := spec[name]; !set {
			refused = append(refused, name)
		}
	}
	maps.Copy(all, spec)
	return all, refused
}

// ownAttributes are those of a pot that is no task's, with pot's defaults. raw_sockets
// is NO in every pot.conf, and pot gives them to every jail.
func ownAttributes(conf Attributes) Attributes {
	all := Attributes{"no-tmpfs": "NO"}
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		value, err := attributes[name].parse(conf[name])
		if err != nil || attributes[name].life || name == "raw_sockets" && value == "NO" {
			continue
		}
		all[name] = value
	}
	return all
}
