package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// table prints rows in columns.
type table struct{ *tabwriter.Writer }

// newTable returns a table with a row of titles.
func newTable(w io.Writer, titles ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(titles...)
	return t
}

// row adds a row. An empty cell is shown as -, so that columns can be told apart by a script.
func (t table) row(cells ...string) {
	for i := range cells {
		cells[i] = cmp.Or(cells[i], "-")
	}
	fmt.Fprintln(t, strings.Join(cells, "\t"))
}

// age is the time since then in its largest unit: 5s, 3m, 7h, 12d. It is "" for nil.
func age(now time.Time, then *time.Time) string {
	if then == nil {
		return ""
	}
	d := max(now.Sub(*then), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
