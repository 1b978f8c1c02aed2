package run

// Observe, unless it is nil, is called with each command before a Host runs it. Tests and
// benchmarks count commands with it. It must be set before the first command, and may be
// called by several goroutines at once.
var Observe func(argv []string)

func observe(argv []string) {
	if Observe != nil {
		Observe(argv)
	}
}
