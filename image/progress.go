package image

import (
	"fmt"
	"io"
	"sync/atomic"
)

// Progress is told what is being done, in a few words for people, and a few
// times a minute at most. It must not wait for anything. It may be nil.
type Progress func(message string)

func (p Progress) tell(format string, args ...any) {
	if p != nil {
		p(fmt.Sprintf(format, args...))
	}
}

// size is a count of bytes for people.
func size(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	n, unit := float64(bytes), 0
	for n >= 1024 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	if n >= 100 || unit == 0 {
		return fmt.Sprintf("%.0f %s", n, units[unit])
	}
	return fmt.Sprintf("%.1f %s", n, units[unit])
}

// counted tells of what is read.
type counted struct {
	r           io.Reader
	done, total int64
	count       Count
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.count(c.done, c.total)
	return n, err
}

// Count is told how many bytes of an .xz have been read, of how many, after each
// read. A total that is not known is -1. It must not wait for anything. It may be
// nil.
type Count func(done, total int64)

// counter counts what is written to it.
type counter struct{ atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) { c.Add(int64(len(p))); return len(p), nil }
