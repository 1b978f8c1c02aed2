package freebsd

import (
	"slices"
	"strings"
)

// iface is an interface as ifconfig(8) shows it.
type iface struct {
	name        string
	description string
	groups      []string
	members     []string // of a bridge
}

func (i *iface) in(group string) bool { return slices.Contains(i.groups, group) }

// parseInterfaces reads what `ifconfig -a` prints. Lines of an interface are
// indented; what is not known is passed over.
func parseInterfaces(text string) []*iface {
	var all []*iface
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			continue
		}
		if line[0] != '\t' && line[0] != ' ' {
			name, _, _ := strings.Cut(line, ": ")
			all = append(all, &iface{name: name})
			continue
		}
		if len(all) == 0 {
			continue
		}
		i := all[len(all)-1]
		key, value, _ := strings.Cut(strings.TrimLeft(line, "\t "), " ")
		switch key {
		case "description:":
			i.description = value
		case "groups:":
			i.groups = strings.Fields(value)
		case "member:":
			member, _, _ := strings.Cut(value, " ")
			i.members = append(i.members, member)
		}
	}
	return all
}
