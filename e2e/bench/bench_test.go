package bench

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestBytes(t *testing.T) {
	leak.Check(t)
	t.Setenv(sizeVariable, "")
	want := int64(160 << 20)
	if testing.Short() {
		want = shortBytes
	}
	must.Eq(t, want, Bytes(t, 160<<20))
	must.Eq(t, 1000, Bytes(t, 1000))
	t.Setenv(sizeVariable, "12345")
	must.Eq(t, 12345, Bytes(t, 160<<20))
}

func TestCosts(t *testing.T) {
	leak.Check(t)
	ms := func(all ...int) (d []time.Duration) {
		for _, n := range all {
			d = append(d, time.Duration(n)*time.Millisecond)
		}
		return d
	}
	var c Costs
	*c.Of("xz") = Cost{Wall: ms(100, 900, 200), User: ms(1, 2, 3), System: ms(4, 5, 6), ResidentBytes: 7 << 20}
	*c.Of("import") = Cost{Wall: ms(300), User: ms(10), System: ms(20), Commands: 6}
	must.Eq(t, 1.5, c.Ratio("import", "xz"))
	must.Eq(t, `
xz                   wall    200 ms (1.00)  user      2 ms  sys      5 ms  resident    7 MB
import               wall    300 ms (1.50)  user     10 ms  sys     20 ms  resident    0 MB  commands 6`, c.Table("xz"))

	c.Run(t, "sleep", exec.Command("sleep", "0.05"))
	must.GreaterEq(t, 50*time.Millisecond, Median(c.Of("sleep").Wall))
	must.Greater(t, 0, c.Of("sleep").ResidentBytes)
	must.True(t, strings.Contains(c.Table("xz"), "\nsleep "))
}
