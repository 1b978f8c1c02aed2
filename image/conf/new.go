package conf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// New is the configuration of a new pot of type single (pot, share/pot/create.sh).
type New struct {
	Base       string            // release of FreeBSD in the tree: "14.2"; may be empty
	Command    string            // shell text; "" is pot's default: sh /etc/rc
	Attributes map[string]string // as for pot set-attribute: "persistent": "NO"
	Ports      []string          // to export: "8080", "udp:53:5300"
	Env        []string          // "VAR=value"
}

// Validate returns all errors in c, each led by its field.
func (c New) Validate() error {
	_, err := c.Format("x")
	return err
}

// Format returns the text of pot.conf for a pot of that name, with keys in the order in which pot
// writes them, or all errors in c, each led by its field.
func (c New) Format(name string) (string, error) {
	var out strings.Builder
	var errs []error
	line := func(where, key, value string) {
		if err := CheckLine(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		}
		fmt.Fprintf(&out, "%s=%s\n", key, value)
	}
	line("", "pot.level", "0")
	line("", "pot.type", "single")
	if c.Base != "" && !ValidRelease(c.Base) {
		errs = append(errs, fmt.Errorf("base: must be a release, as in 14.2 or 15.0-RC1, not %q", c.Base))
	}
	line("base", "pot.base", c.Base)
	line("", "pot.potbase", "")
	line("", "pot.dns", "inherit")
	command := strings.TrimSpace(c.Command)
	if command == "" && c.Command != "" {
		errs = append(errs, fmt.Errorf("command: must not be blank"))
	}
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
	if err := c.attributes(line); err != nil {
		errs = append(errs, err)
	}
	line("", "pot.stack", "ipv4")
	line("", "network_type", "inherit")
	line("", "vnet", "false")
	for i, p := range c.Ports {
		if _, err := ParseExport(p); err != nil {
			errs = append(errs, fmt.Errorf("ports[%d]: %w", i, err))
		}
	}
	if len(c.Ports) > 0 {
		line("ports", "pot.export.ports", strings.Join(c.Ports, " "))
	}
	for i, e := range c.Env {
		if err := CheckVariable(e); err != nil {
			errs = append(errs, fmt.Errorf("env[%d]: %w", i, err))
			continue
		}
		line("", "pot.env", QuoteEnv(e))
	}
	if out.Len() > MaxBytes {
		errs = append(errs, fmt.Errorf("pot.conf: would be more than %d bytes", MaxBytes))
	}
	return out.String(), errors.Join(errs...)
}

// attributes calls line for each line of attributes, and returns all errors in them.
func (c New) attributes(line func(where, key, value string)) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		if !IsAttribute(name) {
			errs = append(errs, fmt.Errorf("attributes: no such attribute: %q", name))
		}
	}
	for _, a := range attributes {
		value, given := c.Attributes[a.name]
		switch {
		case !given && a.optional:
			continue
		case !given:
			value = a.newPot
		default:
			var err error
			if value, err = a.parse(value); err != nil {
				errs = append(errs, fmt.Errorf("attributes.%s: %w", a.name, err))
			}
		}
		line("attributes."+a.name, "pot.attr."+a.name, value)
	}
	return errors.Join(errs...)
}
