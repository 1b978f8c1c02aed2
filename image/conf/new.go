package conf

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// DefaultCommand is the command of a new pot (pot, share/pot/create.sh): it boots.
const DefaultCommand = "sh /etc/rc"

// New is the configuration of a new pot of type single (pot, share/pot/create.sh).
type New struct {
	Base       string            // release of FreeBSD in the tree: "14.2"; may be empty
	Command    string            // shell text; "" is DefaultCommand
	NoCommand  bool              // without Command there is none, not DefaultCommand
	Attributes map[string]string // as for pot set-attribute: "persistent": "NO"
	Ports      []string          // to export: "8080", "udp:53:5300"
	Env        []string          // "VAR=value"
	User       string            // as Image.User
	WorkDir    string            // as Image.WorkDir; "" is /
	OCIDigest  string            // of the container image that the pot's files are from: "sha256:..."
}

// Validate returns all errors in c, each led by its field.
func (c New) Validate() error {
	_, err := c.Format("x")
	return err
}

// Check calls report for every error in c, with its field: base, command, attributes, ports,
// env, user, workdir or digest. The error names the attribute, and quotes the value.
func (c New) Check(report func(field string, err error)) {
	c.format("x", func(field string, err error) {
		field, _, _ = strings.Cut(field, "[")
		field, attribute, named := strings.Cut(field, ".")
		if named {
			err = fmt.Errorf("%s: %w", attribute, err)
		}
		report(field, err)
	})
}

// Format returns the text of pot.conf for a pot of that name, with keys in the order in which pot
// writes them, or all errors in c, each led by its field.
func (c New) Format(name string) (string, error) {
	var errs []error
	text := c.format(name, func(field string, err error) { errs = append(errs, fieldProblem(field, err)) })
	return text, errors.Join(errs...)
}

// fieldProblem returns err led by a field; "" is the configuration as a whole.
func fieldProblem(field string, err error) error {
	if field == "" {
		return err
	}
	return fmt.Errorf("%s: %w", field, err)
}

func (c New) format(name string, report func(field string, err error)) string {
	var out strings.Builder
	line := func(field, key, value string) {
		if err := CheckLine(value); err != nil {
			report(field, err)
		}
		fmt.Fprintf(&out, "%s=%s\n", key, value)
	}
	line("", "pot.level", "0")
	line("", "pot.type", "single")
	if c.Base != "" && !ValidRelease(c.Base) {
		report("base", fmt.Errorf("must be a release, as in 14.2 or 15.0-RC1, not %q", c.Base))
	}
	line("base", "pot.base", c.Base)
	line("", "pot.potbase", "")
	line("", "pot.dns", "inherit")
	command := strings.TrimSpace(c.Command)
	if command == "" && c.Command != "" {
		report("command", errors.New("must not be blank"))
	}
	if command == "" {
		command = DefaultCommand
	}
	if c.Command != "" || !c.NoCommand {
		line("command", "pot.cmd", command)
	}
	line("name", "host.hostname", `"`+name+`"`)
	if c.Base != "" {
		release := c.Base
		if !strings.Contains(release, "-") {
			release += "-RELEASE"
		}
		line("base", "osrelease", `"`+release+`"`)
	}
	c.formatAttributes(line, report)
	line("", "pot.stack", "ipv4")
	line("", "network_type", "inherit")
	line("", "vnet", "false")
	for i, p := range c.Ports {
		if _, err := ParseExport(p); err != nil {
			report(fmt.Sprintf("ports[%d]", i), err)
		}
	}
	if len(c.Ports) > 0 {
		line("ports", "pot.export.ports", strings.Join(c.Ports, " "))
	}
	for i, e := range c.Env {
		if err := CheckVariable(e); err != nil {
			report(fmt.Sprintf("env[%d]", i), err)
			continue
		}
		line("", "pot.env", QuoteEnv(e))
	}
	c.formatOrigin(line, report)
	if out.Len() > MaxBytes {
		report("", fmt.Errorf("pot.conf: would be more than %d bytes", MaxBytes))
	}
	return out.String()
}

// formatOrigin calls line for each line that pot does not have: pot ignores them.
func (c New) formatOrigin(line func(field, key, value string), report func(field string, err error)) {
	if c.WorkDir != "" && !path.IsAbs(c.WorkDir) {
		report("workdir", fmt.Errorf("must be an absolute path, not %q", c.WorkDir))
	}
	for _, l := range []struct{ field, key, value string }{
		{"user", "pot.user", c.User}, {"workdir", "pot.workdir", c.WorkDir}, {"digest", "oci.digest", c.OCIDigest},
	} {
		if strings.TrimSpace(l.value) != l.value {
			report(l.field, fmt.Errorf("must not begin or end with a blank: %q", l.value))
		}
		if l.value != "" {
			line(l.field, l.key, l.value)
		}
	}
}

// formatAttributes calls line for each line of attributes.
func (c New) formatAttributes(line func(field, key, value string), report func(field string, err error)) {
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		if !IsAttribute(name) {
			report("attributes", fmt.Errorf("no such attribute: %q", name))
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
				report("attributes."+a.name, err)
			}
		}
		line("attributes."+a.name, "pot.attr."+a.name, value)
	}
}
