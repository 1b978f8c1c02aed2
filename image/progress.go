package image

import (
	"fmt"
	"io"
	"sync/atomic"
)

// StatusFunc receives short status messages for people, at most a few times a minute. It
// must not block. It may be nil.
type StatusFunc func(message string)

// Report formats a message and calls p with it. It does nothing if p is nil.
func (p StatusFunc) Report(format string, args ...any) {
	if p != nil {
		p(fmt.Sprintf(format, args...))
	}
}

// FormatSize formats a count of bytes for people.
func FormatSize(bytes int64) string {
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

// ProgressReader reports how many bytes were read from R.
type ProgressReader struct {
	R           io.Reader
	done, Total int64        // bytes
	Count       ProgressFunc // must be set
}

// Read implements io.Reader.
func (c *ProgressReader) Read(p []byte) (int, error) {
	n, err := c.R.Read(p)
	c.done += int64(n)
	c.Count(c.done, c.Total)
	return n, err
}

// ProgressFunc receives, after each read, how many bytes of an .xz have been read, and
// their total, or -1 if unknown. It must not block. It may be nil.
type ProgressFunc func(done, total int64)

// Counter counts the bytes that are written to it. Another goroutine may read the count.
type Counter struct{ atomic.Int64 }

// Write implements io.Writer. It never fails.
func (c *Counter) Write(p []byte) (int, error) { c.Add(int64(len(p))); return len(p), nil }
