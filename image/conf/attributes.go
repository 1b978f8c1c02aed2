package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Attributes are the attributes of a pot that are set, by name (pot set-attribute). Values have
// the form that ParseAttribute returns: YES, NO, a number, a word.
type Attributes map[string]string

// attribute is a row of the table of attributes. Images, set-attribute, jobs and starts all use
// this one table.
type attribute struct {
	name  string
	parse func(value string) (string, error)

	newPot string // value in a new pot (pot create)
	task   string // value for a task if neither image nor job sets one (pot, share/pot/prepare.sh)

	lifecycle bool // about how the pot is started and kept, not about its jail: the same for all tasks
	optional  bool // not in the pot.conf of a new pot
}

// attributes are in the order of a new pot's pot.conf (pot, share/pot/create.sh).
var attributes = []attribute{
	{"no-rc-script", boolean, "NO", "YES", true, false},
	{"persistent", boolean, "YES", "NO", true, false},
	{"start-at-boot", boolean, "NO", "NO", true, false},
	{"prunable", boolean, "NO", "YES", true, false},
	{"no-tmpfs", boolean, "NO", "YES", false, false},

	{"enforce_statfs", number(2), "2", "2", false, false}, // jail(8)
	{"mount", boolean, "NO", "NO", false, false},
	{"fdescfs", boolean, "NO", "NO", false, false},
	{"linprocfs", boolean, "NO", "NO", false, false},
	{"nullfs", boolean, "NO", "NO", false, false},
	{"procfs", boolean, "NO", "NO", false, false},
	{"tmpfs", boolean, "NO", "NO", false, false},
	{"zfs", boolean, "NO", "NO", false, false},
	{"raw_sockets", boolean, "NO", "", false, false}, // a task's depends on its network; pot always allows them
	{"sysvshm", word("new", "inherit", "disable"), "new", "new", false, false},
	{"sysvsem", word("new", "inherit", "disable"), "new", "new", false, false},
	{"sysvmsg", word("new", "inherit", "disable"), "new", "new", false, false},
	{"children", number(999_998), "0", "0", false, false}, // fewer than prison0 has: JAIL_MAX (kern_jail.c, kern_jail_set)
	{"mlock", boolean, "NO", "NO", false, false},
	{"devfs_ruleset", number(65535), "4", "4", false, false}, // devfs_rsnum, sys/fs/devfs/devfs.h
	{"exec_stop", command, "", "", false, false},
	{"stop_timeout", number(1<<31 - 1), "10", "10", true, false}, // seconds

	{"early-start-at-boot", boolean, "NO", "NO", true, true},
	{"localhost-tunnel", boolean, "NO", "YES", true, true},
	{"no-etc-hosts", boolean, "NO", "YES", true, true},
	{"linsysfs", boolean, "NO", "NO", false, true}, // not pot's: beside linprocfs
}

// find returns the row of an attribute, or nil if there is none.
func find(name string) *attribute {
	i := slices.IndexFunc(attributes, func(a attribute) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return &attributes[i]
}

// IsAttribute reports whether there is an attribute of that name.
func IsAttribute(name string) bool { return find(name) != nil }

// ParseAttribute checks the value of an attribute and returns it in the form that is stored,
// such as YES for on.
func ParseAttribute(name, value string) (string, error) {
	a := find(name)
	if a == nil {
		return "", fmt.Errorf("no such attribute: %q", name)
	}
	value, err := a.parse(value)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}

// parseWritten is ParseAttribute for a value in a pot.conf, where a word may be in quotes.
func parseWritten(name, value string) (string, error) {
	parsed, err := ParseAttribute(name, value)
	if err == nil {
		return parsed, nil
	}
	if parsed, e := ParseAttribute(name, strings.Trim(value, `"`)); e == nil {
		return parsed, nil
	}
	return "", err
}

// ParseTaskAttribute is ParseAttribute for a task's pot, whose lifecycle attributes are fixed.
func ParseTaskAttribute(name, value string) (string, error) {
	value, err := ParseAttribute(name, value)
	if err != nil {
		return "", err
	}
	if a := find(name); a.lifecycle && value != a.task {
		return "", fmt.Errorf("%s: is %s for every task, and cannot be %s", name, a.task, value)
	}
	return value, nil
}

// TaskAttributes returns the names of the attributes that a task can change, sorted.
func TaskAttributes() []string {
	return attributeNames(func(a attribute) bool { return !a.lifecycle })
}

// AllAttributes returns the names of all attributes, sorted.
func AllAttributes() []string { return attributeNames(func(attribute) bool { return true }) }

// attributeNames returns the names of the attributes that which selects, sorted.
func attributeNames(which func(attribute) bool) (all []string) {
	for _, a := range attributes {
		if which(a) {
			all = append(all, a.name)
		}
	}
	slices.Sort(all)
	return all
}

// NewPotAttribute returns the value of an attribute in a new pot (pot create), "" if there is no
// such attribute.
func NewPotAttribute(name string) string { return cmp.Or(find(name), &attribute{}).newPot }

// Lifecycle reports whether an attribute is about how a pot is started and kept, not about its
// jail.
func Lifecycle(name string) bool { return cmp.Or(find(name), &attribute{}).lifecycle }

// Value returns the value of an attribute for a task's pot, its default if it is not set.
func (a Attributes) Value(name string) string {
	if v, ok := a[name]; ok {
		return v
	}
	return cmp.Or(find(name), &attribute{}).task
}

// On reports whether an attribute of a task's pot is YES.
func (a Attributes) On(name string) bool { return a.Value(name) == "YES" }

// Changed returns the names of the attributes that differ from a task's defaults, sorted.
func (a Attributes) Changed() []string {
	var all []string
	for name, value := range a {
		if value != (Attributes{}).Value(name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// boolean parses a truth value in the words that pot accepts (pot, _normalize_true_false).
func boolean(value string) (string, error) {
	switch strings.ToLower(value) {
	case "yes", "true", "on":
		return "YES", nil
	case "no", "false", "off":
		return "NO", nil
	}
	return "", fmt.Errorf("must be YES or NO, not %.80q", value)
}

// number returns a parser of decimal numbers up to most.
func number(most uint64) func(string) (string, error) {
	return func(value string) (string, error) {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || n > most {
			return "", fmt.Errorf("must be a number, at most %d, not %.80q", most, value)
		}
		return strconv.FormatUint(n, 10), nil
	}
}

// word returns a parser that accepts only words.
func word(words ...string) func(string) (string, error) {
	return func(value string) (string, error) {
		if !slices.Contains(words, value) {
			return "", fmt.Errorf("must be one of %s, not %.80q", strings.Join(words, ", "), value)
		}
		return value, nil
	}
}

// command parses shell text, which must fit on one line of a pot.conf.
func command(value string) (string, error) {
	if err := CheckLine(value); err != nil {
		return "", err
	}
	if len(value) > 4096 {
		return "", fmt.Errorf("must be at most 4096 bytes, not %d", len(value))
	}
	return value, nil
}
