// Package cli is the command line, as nomad-driver-pot COMMAND and, through a
// link, as pot COMMAND.
package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Version is the project's, of the plugin and of the command line.
const Version = "0.1.0"

// awaited are pot's commands that are not there yet: they are refused by name,
// so that nobody takes a typing error for them or them for one.
var awaited = strings.Fields(`
	add-dep clone config copy-in copy-out create create-base de-init destroy
	exec export export-ports get-attribute get-rss image import info init
	last-run-stats list mount-in mount-out prepare prune ps purge-snapshots rename
	revert run set-attr set-attribute set-cmd set-env set-hook set-hosts set-rss show
	signal snapshot start stop term top vnet-start`)

// Main runs the command in args and returns its exit status: 0 done, 1 failed,
// 2 not understood.
func Main(args []string, stdout, stderr io.Writer) int {
	name := filepath.Base(args[0])
	if len(args) < 2 {
		usage(name, stderr)
		return 2
	}
	switch command := args[1]; {
	case command == "version", command == "--version":
		fmt.Fprintf(stdout, "%s %s\n", name, Version)
		return 0
	case command == "help", command == "-h", command == "--help":
		usage(name, stdout)
		return 0
	case command == "doctor":
		return doctor(name, args[2:], stdout, stderr)
	case slices.Contains(awaited, command):
		fmt.Fprintf(stderr, "%s: %s is not there yet: this version is the Nomad driver alone\n", name, command)
		return 1
	default:
		fmt.Fprintf(stderr, "%s: no such command: %q\n%s: hint: the commands are doctor, help and version\n", name, command, name)
		return 2
	}
}

func usage(name string, w io.Writer) {
	fmt.Fprintf(w, `%s runs pots, packaged FreeBSD jails. Started by a Nomad agent it is the task
driver "pot": put it into the agent's plugin_dir and name it in a plugin block.

  %s doctor   what this host has and lacks, and what mends it
  %s help     this text
  %s version  the version

Not there yet: %s.
`, name, name, name, name, strings.Join(awaited, ", "))
}
