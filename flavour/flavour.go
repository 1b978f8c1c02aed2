// Package flavour reads and applies flavours, which are pot's recipes: a file of
// pot's own commands, a script that runs inside the pot, or both.
//
// A flavour is read whole, and all of its errors are returned, before a pot is
// changed (Library.Read, then Apply). The shell tool pot runs the lines of a
// flavour through a shell. This package has no shell: it accepts only lines that
// mean the same with and without one, and refuses the others.
//
// The package does not change pots itself. It translates lines into local.Change
// values and leaves the rest to a Pot, which the command line implements. Where
// flavours are found is in library.go, and what a line may be is in parse.go. The
// built-in flavours are the files in builtin/.
package flavour

import (
	"context"
	"errors"
	"fmt"
	"io"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
)

// A Flavour is a recipe that was read without an error.
type Flavour struct {
	Name   string
	File   string // path of its commands; "" if it has none
	Steps  []Step
	Script *Script // nil if it has none
}

// A Step is a line of a flavour's commands. Line counts from 1, and is for errors.
type Step struct {
	Line    int
	Command string // its first word
	Setting local.Change
}

// A Script runs inside the pot, as root, with the pot's name as its argument. It has no
// arguments of the operator's: its text decides all.
type Script struct {
	File string // path, or "builtin:NAME"
	Name string // the last part of File
	Data []byte
}

// Argv returns the argument vector that runs the script at that path in the pot. A script
// without a #! line is run by /bin/sh.
func (s *Script) Argv(at string, name pot.Name) []string {
	if len(s.Data) > 2 && string(s.Data[:2]) == "#!" {
		return []string{at, string(name)}
	}
	return []string{"/bin/sh", at, string(name)}
}

// Pot is what flavours are applied to.
type Pot interface {
	// Set makes one change.
	Set(ctx context.Context, s local.Change) error

	// Run starts the pot without its command, runs the script in it and stops it. Both
	// outputs of the script go to out. An exit code other than 0 is an error.
	Run(ctx context.Context, s *Script, out io.Writer) error
}

// Apply applies flavours in order, the commands of each before its script. It returns the
// first error, and does not undo what it has changed before. pot starts and stops the pot
// for each script too, so that each finds what the ones before have set.
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

// Read reads flavours by their names, in that order. Its error has all errors in all of
// them, each led by FILE:LINE. It is fs.ErrNotExist if a flavour does not exist.
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

// read reads one flavour.
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
