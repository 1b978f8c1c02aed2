// Pot-supervisor runs one command in a jail and remembers how it ended: see
// package supervise. It is started by the driver and by the pot command line,
// never by hand.
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

// modes are what the program can be started as; hosts add their own.
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

// catchSignals makes the supervisor deaf to what is meant for the process group or
// the session of those who started it. The signals are caught, not ignored:
// what is ignored stays ignored in the command.
func catchSignals() {
	deaf := make(chan os.Signal, 1)
	signal.Notify(deaf, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE)
	go func() {
		for range deaf {
		}
	}()
}
