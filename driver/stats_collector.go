package driver

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// statsCollector samples the tasks that have listeners. It needs one goroutine
// and one timer for hundreds of tasks, and none while nobody listens.
type statsCollector struct {
	measure func(context.Context, *task) (pot.Usage, error)

	mu        sync.Mutex
	listeners map[*listener]struct{}
	running   bool
	changed   chan struct{} // wakes run: a new listener may be due sooner
}

// listener receives the samples of one task.
type listener struct {
	task     *task
	interval time.Duration
	next     time.Time
	cpu      *cpu
	samples  chan *drivers.TaskResourceUsage
}

// listen returns t's samples, one now and one at each interval, until ctx ends. A
// slow receiver misses samples: run never waits for it.
func (s *statsCollector) listen(ctx context.Context, t *task, compute cpustats.Compute, interval time.Duration) <-chan *drivers.TaskResourceUsage {
	l := &listener{
		task: t, interval: interval, next: time.Now(), cpu: newCPU(compute),
		samples: make(chan *drivers.TaskResourceUsage, 1),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners == nil {
		s.listeners = map[*listener]struct{}{}
		s.changed = make(chan struct{}, 1)
	}
	s.listeners[l] = struct{}{}
	if !s.running {
		s.running = true
		go s.run()
	}
	s.wake()
	context.AfterFunc(ctx, func() { s.remove(l) })
	return l.samples
}

// remove ends a listener's samples.
func (s *statsCollector) remove(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	close(l.samples)
	s.wake()
}

// wake has run compute anew which listener is due next.
func (s *statsCollector) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run collects samples until there are no listeners.
func (s *statsCollector) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, next, more := s.due(time.Now())
		if !more {
			return
		}
		usage := s.measureAll(due)
		s.send(due, usage)
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-s.changed:
		}
	}
}

// due returns the listeners that are due, and when the next one will be. more is
// false if there are no listeners: then run must return.
//
// Listeners of one interval are due at the same times, so that one measurement
// serves all of them. For that a listener's first interval is between half of its
// interval and one and a half.
func (s *statsCollector) due(now time.Time) (due []*listener, next time.Time, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listeners) == 0 {
		s.running = false
		return nil, time.Time{}, false
	}
	next = now.Add(time.Hour)
	for l := range s.listeners {
		if !l.next.After(now) {
			due = append(due, l)
			l.next = now.Add(l.interval * 3 / 2).Truncate(l.interval)
		}
		if l.next.Before(next) {
			next = l.next
		}
	}
	return due, next, true
}

// measureTimeout bounds one measurement of one task.
const measureTimeout = 5 * time.Second

// measureAll returns what the tasks of the listeners use. It leaves out tasks that
// have ended or cannot be measured.
func (s *statsCollector) measureAll(due []*listener) map[*task]pot.Usage {
	all := map[*task]pot.Usage{}
	for _, l := range due {
		if _, done := all[l.task]; done || !l.task.running() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), measureTimeout)
		if u, err := s.measure(ctx, l.task); err == nil {
			all[l.task] = u
		}
		cancel()
	}
	return all
}

// send sends samples to the listeners that were not removed meanwhile.
func (s *statsCollector) send(due []*listener, usage map[*task]pot.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range due {
		u, ok := usage[l.task]
		if _, there := s.listeners[l]; !ok || !there || !l.task.running() {
			continue
		}
		select {
		case l.samples <- resources(u, l.cpu):
		default:
		}
	}
}

// potUsage returns what a task's pot uses.
func potUsage(ctx context.Context, t *task) (pot.Usage, error) { return t.pot.Usage(ctx) }
