package life

import (
	"maps"
	"slices"

	"nomad-driver-pot/image/conf"
)

// mergeAttributes returns what a task's pot has: the image's attributes as far as they are
// allowed, and the spec's above them. refused are the image's others, which would have
// changed something.
func mergeAttributes(image, spec conf.Attributes, allowed []string) (all conf.Attributes, refused []string) {
	all = conf.Attributes{}
	for _, name := range image.Changed() {
		// pot gives raw sockets to every jail, and every pot.conf says NO.
		if conf.Lifecycle(name) || name == "no-tmpfs" || name == "raw_sockets" {
			continue
		}
		if slices.Contains(allowed, name) {
			all[name] = image[name]
		} else if _, set := spec[name]; !set {
			refused = append(refused, name)
		}
	}
	maps.Copy(all, spec)
	return all, refused
}

// localAttributes returns the attributes of a pot that is no task's, with pot's defaults.
// raw_sockets is NO in every pot.conf, and pot gives them to every jail.
func localAttributes(potConf conf.Attributes) conf.Attributes {
	all := conf.Attributes{"no-tmpfs": conf.NewPotAttribute("no-tmpfs")}
	for name, value := range potConf {
		if !conf.Lifecycle(name) && (name != "raw_sockets" || value != "NO") {
			all[name] = value
		}
	}
	return all
}
