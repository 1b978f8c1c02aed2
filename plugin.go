// Nomad-driver-pot is a Nomad task driver for pots, and the pot command line.
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

// The one binary has two lives: Nomad starts it as a plugin, and says so with
// go-plugin's cookie; anyone else is a person with a command.
func main() {
	h := base.Handshake
	if os.Getenv(h.MagicCookieKey) == h.MagicCookieValue {
		supervise.SetUmask()
		if err := supervise.SealDescriptors(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot mark inherited descriptors: %v\n", err)
			os.Exit(1)
		}
		// Its log goes to the agent. When that is killed, the first word of the log would
		// end a plugin that the next agent reattaches to (os/signal, SIGPIPE).
		// Ignored, it would be ignored in whatever is executed from here, too.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		serve()
		return
	}
	os.Exit(cli.Main(os.Args, os.Stdout, os.Stderr))
}
