package image

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// PotConf is what pot.conf says of a pot that is new (pot, share/pot/create.sh).
type PotConf struct {
	Base       string            // release of FreeBSD in it: "14.2"; may be empty
	Command    string            // shell text; "" is pot's own: sh /etc/rc
	Attributes map[string]string // of pot set-attribute: "persistent": "NO"
	Ports      []string          // to export: "8080", "udp:53:5300"
	Env        []string          // "VAR=value"
}

// kindOf is how a value of an attribute is written.
type kindOf int

const (
	yesNo   kindOf = iota // yes, no, true, false, on, off: kept as YES and NO
	number                // not negative
	sharing               // new, inherit, disable
	text
)

// attribute is one of pot.conf. What pot itself does not write of a new pot has
// no value.
type attribute struct {
	name  string
	kind  kindOf
	value string
}

// potAttributes are those that pot set-attribute knows, in the order of a new
// pot's pot.conf.
var potAttributes = []attribute{
	{"no-rc-script", yesNo, "NO"}, {"persistent", yesNo, "YES"}, {"start-at-boot", yesNo, "NO"},
	{"prunable", yesNo, "NO"}, {"no-tmpfs", yesNo, "NO"},
	{"enforce_statfs", number, "2"}, {"mount", yesNo, "NO"}, {"fdescfs", yesNo, "NO"},
	{"linprocfs", yesNo, "NO"}, {"nullfs", yesNo, "NO"}, {"procfs", yesNo, "NO"}, {"tmpfs", yesNo, "NO"},
	{"zfs", yesNo, "NO"}, {"raw_sockets", yesNo, "NO"},
	{"sysvshm", sharing, "new"}, {"sysvsem", sharing, "new"}, {"sysvmsg", sharing, "new"},
	{"children", number, "0"}, {"mlock", yesNo, "NO"}, {"devfs_ruleset", number, "4"},
	{"exec_stop", text, ""}, {"stop_timeout", number, "10"},
	{"early-start-at-boot", yesNo, ""}, {"localhost-tunnel", yesNo, ""}, {"no-etc-hosts", yesNo, ""},
}

// Validate returns every fault in c, each led by where it is.
func (c PotConf) Validate() error {
	_, err := c.Format("x")
	return err
}

// Format returns the text of pot.conf for a pot of that name, with keys in the order
// that pot writes them in, or every fault in c, each led by where it is.
func (c PotConf) Format(name string) (string, error) {
	var out strings.Builder
	var errs []error
	line := func(where, key, value string) {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			errs = append(errs, fmt.Errorf("%s: must be one line, not %q", where, value))
		}
		fmt.Fprintf(&out, "%s=%s\n", key, value)
	}
	line("", "pot.level", "0")
	line("", "pot.type", "single")
	if c.Base != "" && !releases.MatchString(c.Base) {
		errs = append(errs, fmt.Errorf("base: must be a release, as in 14.2 or 15.0-RC1, not %q", c.Base))
	}
	line("base", "pot.base", c.Base)
	line("", "pot.potbase", "")
	line("", "pot.dns", "inherit")
	command := c.Command
	if command == "" {
		command = "sh /etc/rc"
	}
	line("command", "pot.cmd", command)
	line("name", "host.hostname", `"`+name+`"`)
	if c.Base != "" {
		release := c.Base
		if !strings.Contains(release, "-") {
			release += "-RELEASE"
		}
		line("base", "osrelease", `"`+release+`"`)
	}
	attributes, err := c.attributes()
	errs = append(errs, err)
	for _, a := range attributes {
		line("attributes."+a.name, "pot.attr."+a.name, a.value)
	}
	line("", "pot.stack", "ipv4")
	line("", "network_type", "inherit")
	line("", "vnet", "false")
	for i, p := range c.Ports {
		if err := checkPort(p); err != nil {
			errs = append(errs, fmt.Errorf("ports[%d]: %w", i, err))
		}
	}
	if len(c.Ports) > 0 {
		line("ports", "pot.export.ports", strings.Join(c.Ports, " "))
	}
	for i, e := range c.Env {
		if !strings.Contains(e, "=") {
			errs = append(errs, fmt.Errorf("env[%d]: must be VAR=value, not %q", i, e))
		}
		line(fmt.Sprintf("env[%d]", i), "pot.env", `"`+strings.ReplaceAll(e, `"`, `\"`)+`"`)
	}
	return out.String(), errors.Join(errs...)
}

// releases of FreeBSD, as uname(1) and pot call them.
var releases = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}(-[A-Z]+[0-9]*)?(-p[0-9]+)?$`)

// checkPort says what is wrong with a port to export: [tcp:|udp:]N[:M], N in the
// pot and M on the host (pot, share/pot/export-ports.sh).
func checkPort(s string) error {
	rest := s
	for _, protocol := range []string{"tcp:", "udp:"} {
		if after, ok := strings.CutPrefix(s, protocol); ok {
			rest = after
		}
	}
	numbers := strings.SplitN(rest, ":", 2)
	for _, n := range numbers {
		if v, err := strconv.ParseUint(n, 10, 16); err != nil || v == 0 {
			return fmt.Errorf("must be [tcp:|udp:]PORT[:HOST_PORT], of 1 to 65535, not %q", s)
		}
	}
	return nil
}

// attributes are all that are to be written, with the values that c has.
func (c PotConf) attributes() (all []attribute, err error) {
	var errs []error
	known := map[string]bool{}
	for _, a := range potAttributes {
		known[a.name] = true
		value, given := c.Attributes[a.name]
		switch {
		case given:
			if a.value, err = a.kind.parse(value); err != nil {
				errs = append(errs, fmt.Errorf("attributes.%s: %w", a.name, err))
			}
		case a.value == "" && a.kind != text:
			continue
		}
		all = append(all, a)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		if !known[name] {
			errs = append(errs, fmt.Errorf("attributes: there is no %q", name))
		}
	}
	return all, errors.Join(errs...)
}

// parse is a value as pot.conf has it.
func (k kindOf) parse(s string) (string, error) {
	switch k {
	case yesNo:
		switch strings.ToLower(s) {
		case "yes", "true", "on":
			return "YES", nil
		case "no", "false", "off":
			return "NO", nil
		}
		return s, fmt.Errorf("must be YES or NO, not %q", s)
	case number:
		if _, err := strconv.ParseUint(s, 10, 31); err != nil {
			return s, fmt.Errorf("must be a number, not %q", s)
		}
	case sharing:
		if s != "new" && s != "inherit" && s != "disable" {
			return s, fmt.Errorf("must be new, inherit or disable, not %q", s)
		}
	}
	return s, nil
}

// DefaultAttributes are those of a new pot, by name; what pot does not write is NO.
func DefaultAttributes() map[string]string {
	all := map[string]string{}
	for _, a := range potAttributes {
		if a.value == "" && a.kind == yesNo {
			a.value = "NO"
		}
		all[a.name] = a.value
	}
	return all
}
