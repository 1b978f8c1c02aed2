// Nomad-driver-pot is a Nomad task driver for pots and, in the same binary, the pot
// command line. The driver is in package driver, the command line in pot/cli.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/nomad/plugins/base"

	"nomad-driver-pot/pot/cli"
	"nomad-driver-pot/pot/supervise"
)

// main serves the driver if a Nomad agent has started the binary, which go-plugin's
// cookie in the environment shows. Otherwise it runs the command line.
func main() {
	h := base.Handshake
	if os.Getenv(h.MagicCookieKey) == h.MagicCookieValue {
		supervise.SetUmask()
		if err := supervise.SealDescriptors(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot mark inherited descriptors: %v\n", err)
			os.Exit(1)
		}
		// The plugin's log is a pipe to the agent. If the agent is killed, the next line of
		// the log would kill a plugin that the next agent uses (os/signal, SIGPIPE). The
		// signal is caught and not ignored: programs started from here would inherit that.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		serve()
		return
	}
	os.Exit(cli.Main(os.Args, os.Stdout, os.Stderr))
}
