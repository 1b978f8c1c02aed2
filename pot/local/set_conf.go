package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// SetCmd is what the pot runs (set-cmd, pot-reference 6.2).
type SetCmd struct{ Command string }

// Validate is Setting's.
func (c SetCmd) Validate() error {
	if c.text() == "" {
		return errors.New("-c: a command must be set")
	}
	if err := conf.CheckLine(c.Command); err != nil {
		return fmt.Errorf("-c: %w", err)
	}
	return nil
}

// text is the command without a quote before it and, only if there is one, one
// behind it, as pot keeps it.
func (c SetCmd) text() string {
	text, quoted := strings.CutPrefix(c.Command, `"`)
	if quoted {
		text = strings.TrimSuffix(text, `"`)
	}
	return strings.TrimSpace(text)
}

func (c SetCmd) set(_ context.Context, s *Pot) error {
	return s.edit(func(conf *conf.Lines) error { return conf.Set("pot.cmd", c.text()) })
}

// SetAttribute is one of pot's attributes (set-attribute, 6.1).
type SetAttribute struct{ Name, Value string }

// readOnly is what start alone sets.
const readOnly = "to-be-pruned"

// Validate is Setting's.
func (a SetAttribute) Validate() error {
	if a.Name == readOnly {
		return fmt.Errorf("-A: %s is set by a start alone", a.Name)
	}
	_, err := a.parse()
	return err
}

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

func (a SetAttribute) set(ctx context.Context, s *Pot) error {
	value, err := a.parse()
	if err != nil {
		return err
	}
	if a.Name == "no-tmpfs" { // what is mounted now is to be found again by stop
		if err := s.stopped(ctx); err != nil {
			return err
		}
	}
	return s.edit(func(conf *conf.Lines) error {
		if kind := conf.Value("pot.type"); a.Name == "no-tmpfs" && kind != "single" {
			return fmt.Errorf("-A: no-tmpfs is for pots of type single, not %q", kind)
		}
		return conf.Set("pot.attr."+a.Name, value)
	})
}

// Attribute is an attribute of the pot as it is kept, "" if it is not set. One that
// does not exist is an error.
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

// SetRSS bounds what the pot may use (set-rss, 6.5). What is "" stays.
type SetRSS struct {
	CPUs   string // how many
	Memory string // bytes, or with one of bBkKmMgG behind it
}

// Validate is Setting's.
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

func (r SetRSS) set(_ context.Context, s *Pot) error {
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

// SetEnv is all of the pot's environment, in place of what there was (set-env, 6.3).
type SetEnv struct{ Vars []string } // NAME=value

// Validate is Setting's.
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

func (e SetEnv) set(_ context.Context, s *Pot) error {
	var lines []string
	for _, v := range e.Vars {
		lines = append(lines, conf.QuoteEnv(v))
	}
	return s.edit(func(conf *conf.Lines) error { return conf.Set("pot.env", lines...) })
}

// SetHosts are all of the pot's lines of hosts(5), in place of those that there
// were (set-hosts, 6.4). None is no error.
type SetHosts struct{ Entries []string } // NAME:ADDRESS

// Validate is Setting's.
func (h SetHosts) Validate() error {
	_, err := h.parse()
	return err
}

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

func (h SetHosts) set(_ context.Context, s *Pot) error {
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

// ExportPorts are all ports that the pot publishes, in place of those that it did
// (export-ports, 6.6).
type ExportPorts struct{ Ports []string } // [tcp:|udp:]PORT[:HOST_PORT]

// Validate is Setting's.
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

func (e ExportPorts) set(_ context.Context, s *Pot) error {
	return s.edit(func(conf *conf.Lines) error {
		return conf.Set("pot.export.ports", strings.Join(e.Ports, " "))
	})
}
