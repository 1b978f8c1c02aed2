package driver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// meter counts how often each task is measured.
type meter map[TaskID]int

func (m meter) measure(_ context.Context, t *task) (pot.Usage, error) {
	m[t.id]++
	return pot.Usage{MemoryBytes: int64(m[t.id])}, nil
}

func TestStatsCollector(t *testing.T) {
	leak.Check(t, leak.Foreign)
	synctest.Test(t, func(t *testing.T) {
		m := meter{}
		s := statsCollector{measure: m.measure}
		ctx, cancel := context.WithCancel(t.Context())
		a, b := &task{id: "a", ended: make(chan struct{})}, &task{id: "b", ended: make(chan struct{})}
		fast := s.listen(ctx, a, cpustats.Compute{}, time.Second)
		slow := s.listen(ctx, b, cpustats.Compute{}, 3*time.Second)
		twin := s.listen(ctx, a, cpustats.Compute{}, time.Second)
		received := map[string]int{}
		deadline := time.After(10*time.Second + 500*time.Millisecond)
	listening:
		for {
			select {
			case u := <-fast:
				must.Positive(t, u.ResourceUsage.MemoryStats.RSS)
				received["fast"]++
			case <-slow:
				received["slow"]++
			case <-twin:
				received["twin"]++
			case <-deadline:
				break listening
			}
		}
		synctest.Wait()
		must.Eq(t, 11, received["fast"])
		must.Between(t, 4, received["slow"], 5)
		must.Eq(t, 11, received["twin"])
		must.Between(t, 11, m["a"], 12) // two listeners share each measurement

		measured := m["a"]
		close(a.ended)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		must.Eq(t, measured, m["a"])
		select {
		case <-fast:
			t.Fatal("a sample of a task that has ended")
		default:
		}

		cancel()
		synctest.Wait()
		_, more := <-fast
		must.False(t, more)
		s.mu.Lock()
		must.False(t, s.running)
		s.mu.Unlock()
	})
}

// A listener that does not receive misses samples, and does not delay others.
func TestStatsCollector_slow(t *testing.T) {
	leak.Check(t, leak.Foreign)
	synctest.Test(t, func(t *testing.T) {
		m := meter{}
		s := statsCollector{measure: m.measure}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		deaf := s.listen(ctx, &task{id: "a", ended: make(chan struct{})}, cpustats.Compute{}, time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		must.Eq(t, 1, len(deaf))
		must.GreaterEq(t, 60, m["a"])
		cancel()
		synctest.Wait()
	})
}
