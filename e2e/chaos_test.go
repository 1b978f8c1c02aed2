//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/results"
)

// fault is something that goes wrong on a host. do has it happen and ends it, such as by
// starting again what was killed; whatever the driver must mend itself is left to it.
type fault struct {
	name string
	host string // "" for both, or a GOOS
	do   func(*chaos)
}

// faults has the faults of the files chaos_*_test.go.
var faults []fault

// TestChaos has faults befall a client with tasks, in an order that follows from a seed.
// After each one, within a bound, what should run runs, Nomad and the host agree, no exit
// code was invented and nothing is left over. POT_CHAOS_SEED, POT_CHAOS_MINUTES and
// POT_CHAOS_FAULTS, a list of names with commas between them, are set by make chaos.
func TestChaos(t *testing.T) {
	seed := uint64(1)
	if text := os.Getenv("POT_CHAOS_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		must.NoError(t, err)
	}
	text := os.Getenv("POT_CHAOS_MINUTES")
	if text == "" {
		t.Skip("run make chaos")
	}
	minutes, err := strconv.ParseFloat(text, 64)
	must.NoError(t, err)
	length := time.Duration(minutes * float64(time.Minute))
	x := newChaos(t, rand.New(rand.NewPCG(seed, 0)))
	deck := x.faults()
	must.SliceNotEmpty(t, deck)
	report := chaosReport{seed: seed}
	t.Cleanup(func() { report.write(t, length) })
	x.recover("start")
	for end := time.Now().Add(length); time.Now().Before(end); {
		// A deck, so that each fault has its turn before any comes again.
		x.rand.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		for _, f := range deck {
			if time.Now().After(end) {
				break
			}
			t.Logf("%s: %s", time.Now().Format(time.TimeOnly), f.name)
			x.startBatch()
			f.do(x)
			report.add(f.name, x.recover(f.name))
		}
	}
}

// chaos is a client with tasks that faults befall.
type chaos struct {
	*testing.T
	*cluster.Cluster
	rand    *rand.Rand
	state   string   // the driver's directory
	batches []string // jobs that were started and not yet checked
	count   int      // of all batches
}

// batchCode is the exit code of each batch job.
const batchCode = 7

// longJobs are the jobs that must run at all times, with their tasks.
var longJobs = map[string][]string{"service": {"task"}, "joined": {"web", "side"}}

func newChaos(t *testing.T, r *rand.Rand) *chaos {
	t.Helper()
	config := cluster.Config{Plugins: bin(t), State: chaosState(t), Driver: `
		gc {
			interval       = "1s"
			creation_grace = "5s"
		}`}
	c := startCluster(t, config)
	x := &chaos{T: t, Cluster: c, rand: r, state: c.StateDir()}
	x.startJobs()
	return x
}

// startJobs starts the jobs that must run at all times.
func (x *chaos) startJobs() {
	x.Helper()
	_, err := x.RunHCL(chaosService(x.Cluster), "")
	must.NoError(x, err)
	_, err = x.RunHCL(sharedJob(x.Cluster, "joined", `network_mode = "group"`, `network_mode = "group"`), "")
	must.NoError(x, err)
}

// replaceJobs stops all jobs and starts the long ones anew.
func (x *chaos) replaceJobs() {
	x.Helper()
	stopJobs(ctx(x.T), x.T, x.Cluster)
	x.batches = nil
	x.startJobs()
}

// chaosService is a job whose task is started again as often as it ends.
func chaosService(c *cluster.Cluster) string {
	text := job{name: "service", kind: "service", config: hello(`"serve", ":8080"`), group: `network {
		port "http" { to = 8080 }
	}`}.hcl(c)
	return strings.Replace(text, `attempts = 0
      mode     = "fail"`, `attempts = 1000
      interval = "1h"
      delay    = "1s"
      mode     = "delay"`, 1)
}

// faults returns the faults for this host, or those of POT_CHAOS_FAULTS.
func (x *chaos) faults() (all []fault) {
	named := strings.FieldsFunc(os.Getenv("POT_CHAOS_FAULTS"), func(r rune) bool { return r == ',' })
	for _, f := range faults {
		if (f.host == "" || f.host == runtime.GOOS) && (len(named) == 0 || slices.Contains(named, f.name)) {
			all = append(all, f)
		}
	}
	return all
}

// startBatch starts a job that ends at once, and that the fault that follows may hit at any
// point of its life.
func (x *chaos) startBatch() {
	x.Helper()
	x.count++
	name := fmt.Sprintf("batch-%d", x.count)
	_, err := x.RunHCL(job{name: name, config: hello(fmt.Sprintf(`"exit", "%d"`, batchCode))}.hcl(x.Cluster), "")
	must.NoError(x, err)
	x.batches = append(x.batches, name)
	x.pause(500 * time.Millisecond)
}

// pause waits for some time up to limit. It varies when faults come; nothing waits for it.
func (x *chaos) pause(limit time.Duration) { time.Sleep(time.Duration(x.rand.Int64N(int64(limit)))) }

// alloc returns the allocation of a long job that runs.
func (x *chaos) alloc(job string) *api.Allocation {
	x.Helper()
	alloc, err := x.Alloc(ctx(x.T), job, api.AllocClientStatusRunning)
	must.NoError(x, err)
	return alloc
}

// chaosReport has the times of recovery by fault.
type chaosReport struct {
	seed  uint64
	took  map[string][]time.Duration
	total int
}

func (r *chaosReport) add(fault string, took time.Duration) {
	if r.took == nil {
		r.took = map[string][]time.Duration{}
	}
	r.took[fault] = append(r.took[fault], took)
	r.total++
}

// write prints the table, and keeps it in the directory POT_RESULTS if that is set.
func (r *chaosReport) write(t *testing.T, length time.Duration) {
	result := results.New("..", "chaos", fmt.Sprint(r.seed))
	ended := "passed"
	if t.Failed() {
		ended = "failed"
	}
	result.Text = fmt.Sprintf("Seed %d, %s, %d faults: %s.", r.seed, length, r.total, ended)
	result.Columns = []string{"fault", "count", "recovery, median s", "max s"}
	for _, name := range slices.Sorted(maps.Keys(r.took)) {
		all := slices.Sorted(slices.Values(r.took[name]))
		result.Rows = append(result.Rows, []string{name, fmt.Sprint(len(all)),
			fmt.Sprintf("%.1f", all[len(all)/2].Seconds()), fmt.Sprintf("%.1f", all[len(all)-1].Seconds())})
	}
	fmt.Println()
	result.WriteMarkdown(os.Stdout)
	if dir := os.Getenv("POT_RESULTS"); dir != "" {
		must.NoError(t, result.Write(dir))
	}
}
