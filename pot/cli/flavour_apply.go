package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"nomad-driver-pot/flavour"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// flavoured implements flavour.Pot for a local pot.
type flavoured struct {
	pots     *life.Pots
	settings *local.Pot
	start    local.StartOptions
}

// Set implements flavour.Pot.
func (f flavoured) Set(ctx context.Context, s local.Change) error { return f.settings.Apply(ctx, s) }

// Run implements flavour.Pot.
func (f flavoured) Run(ctx context.Context, s *flavour.Script, out io.Writer) error {
	return local.RunScript(ctx, f.pots, f.settings.Name(), local.Script{Name: s.Name, Data: s.Data, Argv: s.Argv}, out, f.start)
}

// flavour applies flavours that have been read to a pot. If one fails, the caller decides
// what happens to the pot.
func (o *hostFlags) flavour(c *cobra.Command, name pot.Name, all []*flavour.Flavour) error {
	ps, conf, err := o.pots()
	if err != nil {
		return err
	}
	s, err := local.Open(c.Context(), ps.Host(), name)
	if err != nil {
		return err
	}
	f := flavoured{pots: ps, settings: s, start: local.StartOptions{DNS: conf.DNS, Tell: notes(c)}}
	out := c.OutOrStdout()
	if isJSON(c) { // whose value alone is there
		out = c.ErrOrStderr()
	}
	return flavour.Apply(c.Context(), f, all, out)
}

// flavours reads flavours by their names, in order.
func (o *hostFlags) flavours(names []string) ([]*flavour.Flavour, error) {
	l, err := o.library()
	if err != nil {
		return nil, err
	}
	all, err := l.Read(names...)
	return all, hintPlaces(l, err)
}

// hintPlaces adds a hint on where flavours are looked for, if err is about one that does not
// exist.
func hintPlaces(l *flavour.Library, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return hinted{err, "flavours are looked for in " + l.Places()}
	}
	return err
}

// flavourApplyCommand applies flavours to an existing pot. In pot only create and clone do
// so. Flavours have no undo: after a failure the commands before it stay applied, and a
// second call repeats them, so take a snapshot first.
func flavourApplyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "apply POT FLAVOUR...",
		Short: "Apply flavours to a pot",
		Long: `Applies flavours to a stopped pot, as pot create -f does to a new one: for each, first
its commands and then its script, which runs inside the pot and whose output is shown.
An error in any of them is found before anything changes. If a flavour fails half way,
its changes stay. With -p POT all arguments are flavours.`,
		Example: `  pot flavour apply web nginx`,
	}
	name := potFlag(c)
	o := addHostFlags(c)
	c.Args = cobra.ArbitraryArgs
	pots := c.ValidArgsFunction
	c.ValidArgsFunction = func(c *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
		if *name == "" && len(args) == 0 {
			return pots(c, args, begin)
		}
		return completeFlavours(o)(c, args, begin)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		args, err := takePot(name, args)
		if err == nil && len(args) == 0 {
			err = arguments("FLAVOUR")(c, args)
		}
		if err != nil {
			return err
		}
		return runE(func(c *cobra.Command, args []string) error {
			all, err := o.flavours(args)
			if err == nil {
				err = o.flavour(c, pot.Name(*name), all)
			}
			if err != nil {
				return fmt.Errorf("cannot apply flavours: %w", err)
			}
			return nil
		})(c, args)
	}
	return c
}
