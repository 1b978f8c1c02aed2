// Package flavour reads and applies flavours, pot's recipes: a file of pot's own
// commands, and a script that is run inside the pot.
//
// A flavour is read whole, and everything that is wrong with it is said, before
// anything of a pot is changed. What a shell would make of a line is not left to
// one: only lines that mean the same with and without a shell are understood.
package flavour

import (
	"context"
	"errors"
	"fmt"
	"io"

	"nomad-driver-pot/pot"
)

// A Flavour is a recipe that has been understood.
type Flavour struct {
	Name   string
	File   string // of its commands; "" if it has none
	Steps  []Step
	Script *Script // nil if it has none
}

// A Step is a line of a flavour's commands.
type Step struct {
	Line    int
	Command string // its first word
	Setting pot.Setting
}

// A Script is what is run inside the pot, as root, with the pot's name as its
// argument.
type Script struct {
	File string // where it was read
	Name string // the last part of File
	Data []byte
}

// Argv is the vector that runs the script, which is at that path in the pot. One that
// does not say what reads it is read by a shell.
func (s *Script) Argv(at string, name pot.Name) []string {
	if len(s.Data) > 2 && string(s.Data[:2]) == "#!" {
		return []string{at, string(name)}
	}
	return []string{"/bin/sh", at, string(name)}
}

// Pot is what flavours are applied to.
type Pot interface {
	// Set makes one change.
	Set(ctx context.Context, s pot.Setting) error

	// Run starts the pot without its command, runs the script in it, with both its
	// outputs going to out, and stops it. A script that ends with anything but 0 is
	// an error.
	Run(ctx context.Context, s *Script, out io.Writer) error
}

// Apply applies flavours in order, of each its commands before its script. The first
// failure ends it: what becomes of the pot is for the caller to say.
func Apply(ctx context.Context, p Pot, flavours []*Flavour, out io.Writer) error {
	for _, f := range flavours {
		for _, s := range f.Steps {
			if err := context.Cause(ctx); err != nil {
				return fmt.Errorf("flavour %s: %w", f.Name, err)
			}
			if err := p.Set(ctx, s.Setting); err != nil {
				return fmt.Errorf("flavour %s: %s:%d: %s: %w", f.Name, f.File, s.Line, s.Command, err)
			}
		}
		if f.Script == nil {
			continue
		}
		if err := p.Run(ctx, f.Script, out); err != nil {
			return fmt.Errorf("flavour %s: %s: %w", f.Name, f.Script.File, err)
		}
	}
	return nil
}

// Read reads flavours by their names, in that order. The error has every fault of all
// of them, led by FILE:LINE.
func (l *Library) Read(names ...string) ([]*Flavour, error) {
	var all []*Flavour
	var errs []error
	for _, name := range names {
		f, err := l.read(name)
		all = append(all, f)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

func (l *Library) read(name string) (*Flavour, error) {
	commands, script, err := l.find(name)
	if err != nil {
		return nil, err
	}
	f := &Flavour{Name: name}
	var errs []error
	if commands != nil {
		f.File = commands.shown
		if f.Steps, err = l.parse(commands); err != nil {
			errs = append(errs, err)
		}
	}
	if script != nil {
		if f.Script, err = readScript(script); err != nil {
			errs = append(errs, err)
		}
	}
	return f, errors.Join(errs...)
}
