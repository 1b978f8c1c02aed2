package life

import (
	"maps"
	"slices"

	"nomad-driver-pot/image/conf"
)

// mergeAttributes returns the attributes of a task's pot: the image's allowed attributes,
// overridden by the spec's. refused are the image's other attributes that differ from their
// defaults.
func mergeAttributes(image, spec conf.Attributes, allowed []string) (all conf.Attributes, refused []string) {
	all = conf.Attributes{}
	for _, name := range image.Changed() {
		// pot allows raw sockets in every jail, although every pot.conf has raw_sockets=NO.
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

// localAttributes returns the attributes of a pot that belongs to no task, with pot's
// defaults. raw_sockets=NO is left out: every pot.conf has it, and pot allows raw sockets in
// every jail.
func localAttributes(potConf conf.Attributes) conf.Attributes {
	all := conf.Attributes{"no-tmpfs": conf.NewPotAttribute("no-tmpfs")}
	for name, value := range potConf {
		if !conf.Lifecycle(name) && (name != "raw_sockets" || value != "NO") {
			all[name] = value
		}
	}
	return all
}
