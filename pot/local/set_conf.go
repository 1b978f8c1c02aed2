package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// SetCmd sets the pot's command (set-cmd). It is one line of shell text: pot.conf has no
// other form.
type SetCmd struct{ Command string }

// Validate implements Change.Validate.
func (c SetCmd) Validate() error {
	if c.text() == "" {
		return errors.New("-c: a command must be set")
	}
	if err := conf.CheckLine(c.Command); err != nil {
		return fmt.Errorf("-c: %w", err)
	}
	return nil
}

// text returns the command as pot writes it: without a leading quote, and, only if there is
// one, without a trailing quote.
func (c SetCmd) text() string {
	text, quoted := strings.CutPrefix(c.Command, `"`)
	if quoted {
		text = strings.TrimSuffix(text, `"`)
	}
	return strings.TrimSpace(text)
}

func (c SetCmd) apply(_ context.Context, s *Pot) error {
	return s.edit(func(conf *conf.Lines) error { return conf.Set("pot.cmd", c.text()) })
}

// SetUser sets who runs the pot's command (set-cmd): a name or a number of the pot's passwd(5), or
// either with a group after a colon. "" is root. The user may be created later: a start looks it up.
type SetUser struct{ User string }

// Validate implements Change.Validate.
func (u SetUser) Validate() error {
	if err := conf.CheckLine(u.User); err != nil {
		return fmt.Errorf("-U: %w", err)
	}
	if strings.ContainsAny(u.User, " \t") {
		return fmt.Errorf("-U: must be USER or USER:GROUP, not %.80q", u.User)
	}
	return nil
}

func (u SetUser) apply(_ context.Context, s *Pot) error { return s.setOrRemove("pot.user", u.User) }

// SetWorkDir sets the directory of the pot where its command runs (set-cmd). "" is /.
type SetWorkDir struct{ Dir string }

// Validate implements Change.Validate.
func (d SetWorkDir) Validate() error {
	if err := conf.CheckLine(d.Dir); err != nil {
		return fmt.Errorf("-w: %w", err)
	}
	if d.Dir != "" && (!path.IsAbs(d.Dir) || strings.TrimSpace(d.Dir) != d.Dir) {
		return fmt.Errorf("-w: must be an absolute path, not %.80q", d.Dir)
	}
	return nil
}

func (d SetWorkDir) apply(_ context.Context, s *Pot) error {
	return s.setOrRemove("pot.workdir", d.Dir)
}

// setOrRemove sets a key of the pot.conf, or removes it for "".
func (s *Pot) setOrRemove(key, value string) error {
	return s.edit(func(conf *conf.Lines) error {
		if value == "" {
			return conf.Set(key)
		}
		return conf.Set(key, value)
	})
}

// SetAttribute sets one of pot's attributes (set-attribute). As in pot, a value cannot be
// "": an attribute can be changed and never removed.
type SetAttribute struct{ Name, Value string }

// readOnly is the attribute that only a start sets. With it pot prune knows a pot that has
// run from one that is being prepared.
const readOnly = "to-be-pruned"

// Validate implements Change.Validate.
func (a SetAttribute) Validate() error {
	if a.Name == readOnly {
		return fmt.Errorf("-A: %s is read-only", a.Name)
	}
	_, err := a.parse()
	return err
}

// parse returns the value as pot.conf has it: switches are YES or NO.
func (a SetAttribute) parse() (string, error) {
	switch {
	case a.Name == "":
		return "", errors.New("-A: an attribute must be set")
	case !conf.IsAttribute(a.Name):
		return "", fmt.Errorf("-A: no such attribute: %q", a.Name)
	case a.Value == "":
		return "", errors.New("-V: a value must be set")
	}
	value, err := conf.ParseAttribute(a.Name, a.Value)
	if err != nil {
		return "", fmt.Errorf("-V: %w", err)
	}
	return value, nil
}

func (a SetAttribute) apply(ctx context.Context, s *Pot) error {
	value, err := a.parse()
	if err != nil {
		return err
	}
	if a.Name == "no-tmpfs" { // stop unmounts by this attribute
		if err := s.stopped(ctx); err != nil {
			return err
		}
	}
	return s.edit(func(conf *conf.Lines) error {
		if kind := conf.Value("pot.type"); a.Name == "no-tmpfs" && kind != "single" {
			return fmt.Errorf("-A: no-tmpfs requires a pot of type single, not %q", kind)
		}
		return conf.Set("pot.attr."+a.Name, value)
	})
}

// Attribute returns the value of one of the pot's attributes, "" if it is not set. It
// returns an error if there is no such attribute. It is the text in pot.conf, without the
// default.
func (s *Pot) Attribute(name string) (string, error) {
	if !conf.IsAttribute(name) && name != readOnly {
		return "", fmt.Errorf("-A: no such attribute: %q", name)
	}
	conf, err := s.Conf()
	if err != nil {
		return "", err
	}
	return conf.RawAttribute(name), nil
}

// SetRSS sets the pot's resource limits (set-rss). An empty field leaves its limit as it
// is. A limit can be changed and not removed, as in pot. It counts from the next start.
type SetRSS struct {
	CPUs   string // number of processors
	Memory string // bytes, or a number with one of the units bBkKmMgG
}

// Validate implements Change.Validate.
func (r SetRSS) Validate() error {
	if r.CPUs == "" && r.Memory == "" {
		return errors.New("-C or -M must be set")
	}
	var errs []error
	if r.CPUs != "" {
		if n, err := strconv.ParseUint(r.CPUs, 10, 16); err != nil || n == 0 {
			errs = append(errs, fmt.Errorf("-C: must be a number of processors, not %.80q", r.CPUs))
		}
	}
	if r.Memory != "" {
		if _, err := conf.ParseMemory(r.Memory); err != nil {
			errs = append(errs, fmt.Errorf("-M: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (r SetRSS) apply(_ context.Context, s *Pot) error {
	return s.edit(func(conf *conf.Lines) error {
		var errs []error
		if r.CPUs != "" {
			errs = append(errs, conf.Set("pot.rss.cpus", r.CPUs))
		}
		if r.Memory != "" {
			errs = append(errs, conf.Set("pot.rss.memory", r.Memory))
		}
		return errors.Join(errs...)
	})
}

// SetEnv replaces the pot's environment (set-env). Values are quoted as pot quotes them.
// When pot's own scripts start the pot, a shell expands $ and backquotes in them; this
// program does not.
type SetEnv struct{ Vars []string } // NAME=value

// Validate implements Change.Validate.
func (e SetEnv) Validate() error {
	if len(e.Vars) == 0 {
		return errors.New("-E: a variable must be set")
	}
	var errs []error
	for _, v := range e.Vars {
		if err := conf.CheckVariable(v); err != nil {
			errs = append(errs, fmt.Errorf("-E: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (e SetEnv) apply(_ context.Context, s *Pot) error {
	var lines []string
	for _, v := range e.Vars {
		lines = append(lines, conf.QuoteEnv(v))
	}
	return s.edit(func(conf *conf.Lines) error { return conf.Set("pot.env", lines...) })
}

// SetHosts replaces the pot's lines of hosts(5) (set-hosts). There may be none. The name
// comes first, so that the first colon ends it, whatever the address.
type SetHosts struct{ Entries []string } // NAME:ADDRESS

// Validate implements Change.Validate.
func (h SetHosts) Validate() error {
	_, err := h.parse()
	return err
}

// parse returns the entries, or all errors in them.
func (h SetHosts) parse() (all []pot.HostEntry, err error) {
	var errs []error
	for _, text := range h.Entries {
		name, addr, _ := strings.Cut(text, ":")
		ip, err := netip.ParseAddr(addr)
		if err != nil || ip.Zone() != "" || !pot.ValidHostname(name) {
			errs = append(errs, fmt.Errorf("-H: must be NAME:ADDRESS, not %.80q", text))
			continue
		}
		all = append(all, pot.HostEntry{Name: name, Addr: ip})
	}
	return all, errors.Join(errs...)
}

func (h SetHosts) apply(_ context.Context, s *Pot) error {
	entries, err := h.parse()
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, e.Addr.String()+" "+e.Name)
	}
	return s.edit(func(conf *conf.Lines) error { return conf.Set("pot.hosts", lines...) })
}

// ExportPorts replaces the ports that the pot publishes (export-ports). They cannot all be
// removed. Ports that are in use are noticed by the start.
type ExportPorts struct{ Ports []string } // [tcp:|udp:]PORT[:HOST_PORT]

// Validate implements Change.Validate.
func (e ExportPorts) Validate() error {
	if len(e.Ports) == 0 {
		return errors.New("-e: a port must be set")
	}
	var errs []error
	for _, text := range e.Ports {
		if _, err := conf.ParseExport(text); err != nil {
			errs = append(errs, fmt.Errorf("-e: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (e ExportPorts) apply(_ context.Context, s *Pot) error {
	return s.edit(func(conf *conf.Lines) error {
		return conf.Set("pot.export.ports", strings.Join(e.Ports, " "))
	})
}
