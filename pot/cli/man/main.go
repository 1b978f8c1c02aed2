// Man writes the manual pages of the command line into a directory, for `make man`. They
// have the text of --help. It is a separate program to keep the generator out of the plugin.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"

	"nomad-driver-pot/pot/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: man DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "man: cannot write the manual:", err)
		os.Exit(1)
	}
}

// write creates dir and a page for each command in it. The date of the pages is
// SOURCE_DATE_EPOCH if that is set, or else today.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	header := &doc.GenManHeader{Section: "1", Source: "nomad-driver-pot " + cli.Version, Manual: "pot"}
	return doc.GenManTree(cli.New("pot"), header, dir)
}
