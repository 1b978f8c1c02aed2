package pot

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Attributes are what a pot's jail may do and how it is kept, by pot's names for
// them and in pot's words: YES, NO, a number, a word (pot-reference 6.1). What is
// not set is pot's default, but for what a task never has.
type Attributes map[string]string

// attribute is one of pot's, and one more.
type attribute struct {
	parse   func(value string) (string, error)
	initial string // where it is not set
	life    bool   // of the pot's life, not of its jail: the same for all pots here
}

// attributes are all that there are. Those of a pot's life have the values that a
// pot of an orchestrator has (pot-reference 3.7).
var attributes = map[string]attribute{
	"enforce_statfs": {number(2), "2", false},
	"mount":          {boolean, "NO", false},
	"fdescfs":        {boolean, "NO", false},
	"procfs":         {boolean, "NO", false},
	"linprocfs":      {boolean, "NO", false},
	"linsysfs":       {boolean, "NO", false}, // not pot's, as linprocfs
	"nullfs":         {boolean, "NO", false},
	"tmpfs":          {boolean, "NO", false},
	"zfs":            {boolean, "NO", false},
	"raw_sockets":    {boolean, "", false}, // by the network: pot has them always
	"sysvshm":        {word("new", "inherit", "disable"), "new", false},
	"sysvsem":        {word("new", "inherit", "disable"), "new", false},
	"sysvmsg":        {word("new", "inherit", "disable"), "new", false},
	"children":       {number(1 << 20), "0", false},
	"mlock":          {boolean, "NO", false},
	"devfs_ruleset":  {number(65535), "4", false},
	"exec_stop":      {command, "", false},
	"no-tmpfs":       {boolean, "YES", false},

	"persistent":          {boolean, "NO", true},
	"no-rc-script":        {boolean, "YES", true},
	"prunable":            {boolean, "YES", true},
	"localhost-tunnel":    {boolean, "YES", true},
	"no-etc-hosts":        {boolean, "YES", true},
	"start-at-boot":       {boolean, "NO", true},
	"early-start-at-boot": {boolean, "NO", true},
	"stop_timeout":        {number(1 << 31), "10", true},
}

// ParseAttribute is value as it is kept. What a pot here cannot have is an error.
func ParseAttribute(name, value string) (string, error) {
	a, ok := attributes[name]
	if !ok {
		return "", fmt.Errorf("no such attribute: %q", name)
	}
	value, err := a.parse(value)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if a.life && value != a.initial {
		return "", fmt.Errorf("%s: is %s for every task, and cannot be %s", name, a.initial, value)
	}
	return value, nil
}

// AttributeNames are those that a jail can be given, sorted.
func AttributeNames() []string {
	var all []string
	for name, a := range attributes {
		if !a.life {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// AllAttributeNames are those that a pot can be given, sorted.
func AllAttributeNames() []string { return slices.Sorted(maps.Keys(attributes)) }

// Value is an attribute's, or its default.
func (a Attributes) Value(name string) string {
	if v, ok := a[name]; ok {
		return v
	}
	return attributes[name].initial
}

// On tells whether an attribute is YES.
func (a Attributes) On(name string) bool { return a.Value(name) == "YES" }

// Changed are the names of those that are not at their default, sorted.
func (a Attributes) Changed() []string {
	var all []string
	for name, value := range a {
		if value != attributes[name].initial {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func boolean(value string) (string, error) {
	switch strings.ToLower(value) {
	case "yes", "true", "on":
		return "YES", nil
	case "no", "false", "off":
		return "NO", nil
	}
	return "", fmt.Errorf("must be YES or NO, not %.80q", value)
}

func number(most uint64) func(string) (string, error) {
	return func(value string) (string, error) {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || n > most {
			return "", fmt.Errorf("must be a number, at most %d, not %.80q", most, value)
		}
		return strconv.FormatUint(n, 10), nil
	}
}

func word(words ...string) func(string) (string, error) {
	return func(value string) (string, error) {
		if !slices.Contains(words, value) {
			return "", fmt.Errorf("must be one of %s, not %.80q", strings.Join(words, ", "), value)
		}
		return value, nil
	}
}

// command is shell text, on one line of a pot.conf.
func command(value string) (string, error) {
	if strings.ContainsAny(value, "\n\r\x00") || len(value) > 4096 {
		return "", fmt.Errorf("must be one line of at most 4096 bytes")
	}
	return value, nil
}
