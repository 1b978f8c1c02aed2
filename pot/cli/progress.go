package cli

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"nomad-driver-pot/image"
)

// progress draws a progress bar on a terminal.
type progress struct {
	w   io.Writer // nil: not a terminal
	bar *progressbar.ProgressBar
}

// newProgress returns a progress that draws nothing unless stderr is a terminal. Logs and
// pipes get no bar: it consists of control characters.
func newProgress(stderr io.Writer) *progress {
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &progress{w: stderr}
	}
	return &progress{}
}

// of starts a new bar, with bytes, rate and remaining time. It is drawn on the first count,
// and cleared by done. Without a terminal of returns nil. Callers pass nil on as it is: a
// reader without a ProgressFunc does not count.
func (p *progress) of(what string) image.ProgressFunc {
	p.done()
	if p.w == nil {
		return nil
	}
	return func(done, total int64) {
		if p.bar == nil {
			p.bar = progressbar.NewOptions64(total,
				progressbar.OptionSetWriter(p.w),
				progressbar.OptionSetDescription(what),
				progressbar.OptionShowCount(),
				progressbar.OptionShowBytes(true),
				progressbar.OptionShowTotalBytes(true),
				progressbar.OptionUseIECUnits(true),
				progressbar.OptionSetWidth(20),
				progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionSetSpinnerChangeInterval(0), // no drawing goroutine
				progressbar.OptionClearOnFinish(),
			)
			_ = p.bar.Set64(0) // starts the clock of the rate
		}
		_ = p.bar.Set64(done) // best effort: a failed write to the terminal is no problem
	}
}

// done clears the bar: the line is free for other output. It may be called repeatedly, and
// must be called before anything else is printed.
func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
		p.bar = nil
	}
}
