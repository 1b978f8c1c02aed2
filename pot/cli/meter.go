package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// meter is what is being done, for one line of progress.
type meter struct {
	what        string
	begun       time.Time
	done, total int64 // bytes; total is less than 0 if it is not known
	counted     bool  // done and total were set

	position      func() (done, total int64) // for progress.poll; nil for others
	stop, stopped chan struct{}
}

// maxBar is the length of the bar where the terminal is wide enough, minBar the least that
// is worth its columns.
const (
	maxBar = 20
	minBar = 5
)

// maxLeft bounds the remaining time that is shown: a longer one, as after the first bytes of a
// big file, is no estimate.
const maxLeft = 100 * time.Hour

// line returns the line for at most width columns: with as much as fits of a bar, bytes and
// rate, and remaining time. The elapsed time stays longest, so that every line moves.
func (m *meter) line(width int, now time.Time) string {
	if width <= 0 {
		return ""
	}
	elapsed := now.Sub(m.begun).Truncate(time.Second)
	if !m.counted {
		return m.fit(width, fmt.Sprintf(" [%s]", elapsed))
	}
	seconds := now.Sub(m.begun).Seconds()
	rate := 0.0
	if seconds > 0 {
		rate = float64(m.done) / seconds
	}
	if m.total < 0 {
		bytes := sized(float64(m.done))
		return m.fit(width, fmt.Sprintf(" (%s, %s/s) [%s]", bytes, sized(rate), elapsed), fmt.Sprintf(" (%s) [%s]", bytes, elapsed), fmt.Sprintf(" [%s]", elapsed))
	}
	percent, share := 100, 1.0
	if m.total > 0 {
		share = min(float64(m.done)/float64(m.total), 1)
		percent = int(100 * share)
	}
	times := fmt.Sprintf("[%s]", elapsed)
	if left := float64(max(m.total-m.done, 0)) / rate; elapsed > 0 && left < maxLeft.Seconds() {
		times = fmt.Sprintf("[%s:%s]", elapsed, time.Duration(left*float64(time.Second)).Truncate(time.Second))
	}
	bytes := sizedOf(m.done, m.total)
	head, tail := fmt.Sprintf(" %4d%%", percent), fmt.Sprintf(" (%s, %s/s) %s", bytes, sized(rate), times)
	if room := width - utf8.RuneCountInString(m.what+head+tail) - len(" ||"); room >= minBar {
		n := min(room, maxBar)
		full := max(int(share*float64(n)), 1)
		return m.what + head + " |" + strings.Repeat("█", full) + strings.Repeat(" ", n-full) + "|" + tail
	}
	return m.fit(width, head+tail, fmt.Sprintf("%s (%s) %s", head, bytes, times), head+" "+times, fmt.Sprintf(" %d%% [%s]", percent, elapsed))
}

// minWhat is the least of what is being done that tells a person anything.
const minWhat = 12

// fit returns m.what followed by the first of tails that fits. Before the last one, m.what is
// cut rather than a tail left out, but not below minWhat.
func (m *meter) fit(width int, tails ...string) string {
	for i, tail := range tails {
		room := width - utf8.RuneCountInString(tail)
		if room >= min(utf8.RuneCountInString(m.what), minWhat) || i == len(tails)-1 {
			return cut(cut(m.what, room)+tail, width)
		}
	}
	return cut(m.what, width)
}

// cut returns text in at most width columns, with … for what is cut off.
func cut(text string, width int) string {
	all := []rune(text)
	switch {
	case width <= 0:
		return ""
	case len(all) <= width:
		return text
	}
	return string(all[:width-1]) + "…"
}

// units of sizes, each 1024 times the one before.
var units = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}

// unitOf returns the unit that is best for n bytes, and its size.
func unitOf(n float64) (name string, size float64) {
	size = 1
	for i, name := range units {
		if n < 1024*size || i == len(units)-1 {
			return name, size
		}
		size *= 1024
	}
	return units[0], 1
}

// sized returns a number of bytes for a person.
func sized(n float64) string {
	unit, size := unitOf(n)
	if size == 1 {
		return fmt.Sprintf("%.0f %s", n, unit)
	}
	return fmt.Sprintf("%.1f %s", n/size, unit)
}

// sizedOf returns done and total in the unit of total.
func sizedOf(done, total int64) string {
	unit, size := unitOf(float64(total))
	if size == 1 {
		return fmt.Sprintf("%d/%d %s", done, total, unit)
	}
	return fmt.Sprintf("%.1f/%.0f %s", float64(done)/size, float64(total)/size, unit)
}
