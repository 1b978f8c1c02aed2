// Pot-supervisor runs one command in a jail and records how it ended: see package
// supervise. The driver and the pot command line start it; people do not.
//
// Its first argument is a mode: run (supervise a command), enter (become a command in a
// jail), host (become a command on the host), and a mode of the system: jail (Linux: the
// first process of a jail) or mount (FreeBSD: nmount(2) calls).
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"nomad-driver-pot/pot/supervise"
)

func main() {
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(20)
	supervise.SetUmask()
	if len(os.Args) >= 2 && modes[os.Args[1]] != nil {
		os.Exit(modes[os.Args[1]](os.Args[2:]))
	}
	fmt.Fprintln(os.Stderr, "pot-supervisor: started by nomad-driver-pot, not by hand")
	os.Exit(2)
}

// modes are the main functions by the first argument; each system adds one.
var modes = map[string]func(args []string) int{"run": run, "enter": enter, "host": supervise.Host}

func enter([]string) int { return supervise.Enter() }

func run([]string) int {
	const passed = 3 // the task, the answer, and the log
	if err := supervise.CloseInherited(passed); err != nil {
		fmt.Fprintf(os.Stderr, "pot-supervisor: %v\n", err)
		return 1
	}
	catchSignals()
	return supervise.Run(os.Stdin, os.Stdout)
}

// catchSignals lets the supervisor survive signals to the process group or the session that
// started it. It catches the signals and does not ignore them: the command would inherit
// ignored signals.
func catchSignals() {
	deaf := make(chan os.Signal, 1)
	signal.Notify(deaf, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE)
	go func() {
		for range deaf {
		}
	}()
}
