package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// output is how a command says what it has found: "text" or "json".
type output string

// addOutput gives c the flag for it.
func addOutput(c *cobra.Command) *output {
	o := output("text")
	c.Flags().VarP(&o, "output", "o", "`format` of what is printed: text or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return &o
}

// String, Set and Type are the flag.
func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "format" }
func (o *output) Set(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("must be text or json, not %q", s)
	}
	*o = output(s)
	return nil
}

// line tells one thing: text in a line, or, as JSON, value under its key.
func (o output) line(w io.Writer, key, value, text string) error {
	return o.tell(w, map[string]string{key: value}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

// lines tells names: in a line each, or, as JSON, in an array.
func (o output) lines(w io.Writer, all []string) error {
	return o.tell(w, append([]string{}, all...), func(w io.Writer) error {
		for _, name := range all {
			if _, err := fmt.Fprintln(w, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// said prints lines as they come, and keeps them where JSON was asked for, which end
// then prints in an array.
func (o output) said(w io.Writer) (line func(string), end func() error) {
	if o != "json" {
		return func(text string) { fmt.Fprintln(w, text) }, func() error { return nil }
	}
	var all []string
	return func(text string) { all = append(all, text) }, func() error { return o.lines(w, all) }
}

// tell writes v as JSON if that was asked for, and else what text writes.
func (o output) tell(w io.Writer, v any, text func(io.Writer) error) error {
	if o != "json" {
		return text(w)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
