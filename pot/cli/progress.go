package cli

import (
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nomad-driver-pot/image"
)

// progress draws, on a terminal, one line on what is being done and how far it is. The line
// is never longer than the terminal is wide, and is drawn again several times a second: it
// moves also while a big block is compressed and nothing is counted.
type progress struct {
	w *os.File // nil: not a terminal

	mu    sync.Mutex
	shown *meter // what is being done; nil for nothing
	last  time.Time
	drawn int // columns of the line that are in use
}

// Times of drawing. A short operation is over before its line is drawn without a count.
const (
	drawEvery   = 250 * time.Millisecond
	drawAtLeast = 100 * time.Millisecond // between two counts that are drawn
	drawAfter   = time.Second            // what has counted nothing
)

// newProgress returns a progress that draws nothing unless stderr is a terminal, which can go
// back in a line. Logs and scripts get only messages.
func newProgress(stderr io.Writer) *progress {
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		return &progress{w: f}
	}
	return &progress{}
}

// of begins a new line and returns the function that counts. The caller must call done when
// all is over. Without a terminal of returns nil.
func (p *progress) of(what string) image.ProgressFunc {
	m := p.begin(what, nil)
	if m == nil {
		return nil
	}
	return func(done, total int64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.shown != m {
			return
		}
		first := !m.counted
		m.counted, m.done, m.total = true, done, total
		if first || time.Since(p.last) >= drawAtLeast {
			p.draw()
		}
	}
}

// poll begins a new line for what cannot count by itself: position returns how far it is.
func (p *progress) poll(what string, position func() (done, total int64)) { p.begin(what, position) }

func (p *progress) begin(what string, position func() (done, total int64)) *meter {
	p.done()
	if p.w == nil {
		return nil
	}
	m := &meter{what: what, begun: time.Now(), total: -1, position: position, stop: make(chan struct{}), stopped: make(chan struct{})}
	p.mu.Lock()
	p.shown = m
	p.mu.Unlock()
	go p.run(m)
	return m
}

// run draws m until it is stopped.
func (p *progress) run(m *meter) {
	defer close(m.stopped)
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		if p.shown == m && (m.counted || time.Since(m.begun) >= drawAfter) {
			if m.position != nil {
				m.done, m.total = m.position()
				m.counted = true
			}
			p.draw()
		}
		p.mu.Unlock()
	}
}

// draw draws the line. Best effort: a failed write to the terminal is no problem.
func (p *progress) draw() {
	width := p.width()
	line := p.shown.line(width-1, time.Now())
	columns := utf8.RuneCountInString(line)
	io.WriteString(p.w, "\r"+line+strings.Repeat(" ", max(min(p.drawn, width-1)-columns, 0)))
	p.drawn, p.last = columns, time.Now()
}

// width returns the columns of the terminal.
func (p *progress) width() int {
	width, _, err := term.GetSize(int(p.w.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// clear clears the line for other output. It is drawn again afterwards.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn > 0 {
		io.WriteString(p.w, "\r"+strings.Repeat(" ", min(p.drawn, p.width()-1))+"\r")
		p.drawn = 0
	}
}

// aboveBar returns notes for a command that draws progress: a note clears its line.
func aboveBar(p *progress, c *cobra.Command) func(string) {
	note := notes(c)
	return func(text string) {
		p.clear()
		note(text)
	}
}

// done ends what is being done, and clears the line.
func (p *progress) done() {
	p.clear()
	p.mu.Lock()
	m := p.shown
	p.shown = nil
	p.mu.Unlock()
	if m != nil {
		close(m.stop)
		<-m.stopped
		p.clear()
	}
}
