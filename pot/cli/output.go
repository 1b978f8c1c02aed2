package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
)

// output is the format of a command's results: "text" or "json". pot has no such option.
// Text is in pot's format where scripts are known to read it; JSON is for programs, whose
// keys are not to change.
type output string

// addOutput adds -o to c.
func addOutput(c *cobra.Command) *output {
	o := output("text")
	c.Flags().VarP(&o, "output", "o", "output `format`: text or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return &o
}

// readOutput sets the flag -o of c, whose args were not read to their end because of a usage
// error: that is JSON too.
func readOutput(c *cobra.Command, args []string) {
	for i, arg := range args {
		json := slices.Contains([]string{"-ojson", "-o=json", "--output=json"}, arg)
		if json || slices.Contains([]string{"-o", "--output"}, arg) && i+1 < len(args) && args[i+1] == "json" {
			_ = c.Flags().Set("output", "json") // an error: c has no such flag
		}
	}
}

// isJSON reports whether c was given -o json.
func isJSON(c *cobra.Command) bool {
	f := c.Flags().Lookup("output")
	return f != nil && f.Value.String() == "json"
}

// String, Type and Set implement pflag.Value.
func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "format" }
func (o *output) Set(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("must be text or json, not %q", s)
	}
	*o = output(s)
	return nil
}

// line prints text on a line, or v as JSON.
func (o output) line(w io.Writer, v any, text string) error {
	return o.print(w, v, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

// lines prints names: one to a line, or, as JSON, in an array. An empty list is [] and
// never null.
func (o output) lines(w io.Writer, all []string) error {
	return o.print(w, append([]string{}, all...), func(w io.Writer) error {
		for _, name := range all {
			if _, err := fmt.Fprintln(w, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// stream prints lines as they come. As JSON it keeps them, and end prints them in an array.
// init and de-init take minutes: a person sees each line at once.
func (o output) stream(w io.Writer) (line func(string), end func() error) {
	if o != "json" {
		return func(text string) { fmt.Fprintln(w, text) }, func() error { return nil }
	}
	var all []string
	return func(text string) { all = append(all, text) }, func() error { return o.lines(w, all) }
}

// print writes v as JSON with -o json, and otherwise calls text.
func (o output) print(w io.Writer, v any, text func(io.Writer) error) error {
	if o != "json" {
		return text(w)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	// File names and URLs stay readable.
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
