// Man writes the manual pages of the command line into a directory, as
// `make man` does: they say what --help says. It is a program of its own, so
// that the plugin does not carry what makes them.
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

// write makes a page of each command in dir, which it makes too. Pages bear
// SOURCE_DATE_EPOCH if it is set, else the day.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	header := &doc.GenManHeader{Section: "1", Source: "nomad-driver-pot " + cli.Version, Manual: "pot"}
	return doc.GenManTree(cli.New("pot"), header, dir)
}
