package run

// Observe is called with each command before a Host runs it, unless it is nil: tests and
// benchmarks count commands by it. It must be set before the first command, and may be
// called by several goroutines at once.
var Observe func(argv []string)

func observe(argv []string) {
	if Observe != nil {
		Observe(argv)
	}
}
