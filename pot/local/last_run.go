package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/tree"
)

// runStats is what the pot's command ended with, as pot keeps it.
type runStats struct{ ExitCode int }

const runStatsFile = conf.Dir + "/.last_run_stats"

// keepStats keeps how the command ended beside the pot, where it outlives what there
// was of it. What cannot be kept is not missed.
func saveLastRun(ctx context.Context, p *life.Pot) {
	exit := p.Exited(ctx)
	dir, err := p.Host().Datasets.Dir(ctx, string(p.Name()))
	if exit == nil || err != nil {
		return
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer root.Close()
	tree.Replace(root, runStatsFile, fmt.Appendf(nil, "{ \"ExitCode\": %d }\n", exit.Code))
}

// LastExitTime is when the pot's command ended last. One that never has is fs.ErrNotExist.
func LastExitTime(ctx context.Context, ps *life.Pots, name pot.Name) (time.Time, error) {
	s, err := Open(ctx, ps.Host(), name)
	if err != nil {
		return time.Time{}, err
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return time.Time{}, err
	}
	defer root.Close()
	info, err := root.Lstat(runStatsFile)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// LastExitCode is the exit code that the pot's command ended with when it last did. One that
// never has, or whose note of it is damaged, is fs.ErrNotExist.
func LastExitCode(ctx context.Context, ps *life.Pots, name pot.Name) (code int, err error) {
	s, err := Open(ctx, ps.Host(), name)
	if err != nil {
		return 0, err
	}
	if p, err := ps.Find(name); err == nil && p.InPlace() {
		if exit := p.Exited(ctx); exit != nil {
			return exit.Code, nil
		}
	}
	data, err := s.read(runStatsFile)
	if err != nil {
		return 0, err
	}
	var stats runStats
	if err := json.Unmarshal(data, &stats); err != nil { // a crash has damaged it, and the next end replaces it
		return 0, fmt.Errorf("%s: %w: %w", runStatsFile, fs.ErrNotExist, err)
	}
	return stats.ExitCode, nil
}
