// Man writes the manual pages of the command line into a directory, for `make man`. They
// have the text of --help, and what holds for all commands. It is a separate program to keep
// the generator out of the plugin.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"

	"nomad-driver-pot/pot/cli"
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: man DIR [NAME]")
		os.Exit(2)
	}
	name := "pot"
	if len(os.Args) == 3 {
		name = os.Args[2]
	}
	if err := write(os.Args[1], name); err != nil {
		fmt.Fprintln(os.Stderr, "man: cannot write the manual:", err)
		os.Exit(1)
	}
}

// write creates dir and a page for each command in it, of a command line that is installed
// as name. The date of the pages is
// SOURCE_DATE_EPOCH if that is set, or else today.
func write(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	at := time.Now()
	if text := os.Getenv("SOURCE_DATE_EPOCH"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: must be seconds since 1970, not %q", text)
		}
		at = time.Unix(seconds, 0)
	}
	return writeAll(dir, cli.New(name), at.UTC().Format("Jan 2006"))
}

// writeAll writes the page of c and of all commands below it that the help lists.
func writeAll(dir string, c *cobra.Command, date string) error {
	if c.HasParent() && !c.IsAvailableCommand() {
		return nil
	}
	c.InitDefaultHelpFlag()
	if !c.HasParent() {
		c.InitDefaultVersionFlag()
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(dir, name), md2man.Render([]byte(newPage(c, date).String())), 0o644); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if err := writeAll(dir, sub, date); err != nil {
			return err
		}
	}
	return nil
}
