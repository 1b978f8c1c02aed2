package cli

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestMeter_line(t *testing.T) {
	leak.Check(t)
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := begun.Add(65 * time.Second)
	known := &meter{what: "exporting web_1.0", begun: begun, counted: true, done: 300 << 20, total: 1 << 30}
	long := &meter{what: "downloading " + strings.Repeat("very-", 20) + "long_1.0.xz", begun: begun, counted: true, done: 5 << 20, total: 6 << 20}
	unknown := &meter{what: "verifying", begun: begun, counted: true, done: 3 << 20, total: -1}
	silent := &meter{what: "unpacking base.txz", begun: begun, total: -1}

	t.Run("no width is exceeded, and every line moves with the time", func(t *testing.T) {
		for _, m := range []*meter{known, long, unknown, silent} {
			for width := range 200 {
				line := m.line(width, now)
				must.LessEq(t, width, utf8.RuneCountInString(line), must.Sprint(line))
				must.StrNotContains(t, line, "\n")
				if width >= 16 {
					must.StrContains(t, line, "1m5s", must.Sprint(width))
					must.NotEq(t, line, m.line(width, now.Add(time.Second)), must.Sprint(width))
				}
			}
		}
	})
	for width, want := range map[int]string{
		120: "exporting web_1.0   29% |█████               | (0.3/1 GiB, 4.6 MiB/s) [1m5s:2m36s]",
		60:  "exporting web_1.0   29% (0.3/1 GiB, 4.6 MiB/s) [1m5s:2m36s]",
		40:  "exporting web_1.0   29% [1m5s:2m36s]",
		30:  "exporting web_1.0 29% [1m5s]",
		20:  "exporti… 29% [1m5s]",
	} {
		must.Eq(t, want, known.line(width-1, now), must.Sprint(width))
	}
	must.Eq(t, "verifying (3.0 MiB, 47.3 KiB/s) [1m5s]", unknown.line(79, now))
	must.Eq(t, "unpacking base.txz [1m5s]", silent.line(79, now))
	slow := &meter{what: "verifying", begun: begun, counted: true, done: 1, total: 1 << 50}
	must.Eq(t, "verifying    0% (0.0/1 PiB, 0 B/s) [1m5s]", slow.line(45, now))
	must.Eq(t, "exporting web_1.0   29% [0s]", known.line(30, begun.Add(time.Second/2)), must.Sprint("no estimate yet"))
	must.Eq(t, "downloading very-very-very…   83% (5.0/6 MiB, 78.8 KiB/s) [1m5s:13s]", long.line(68, now))
}
