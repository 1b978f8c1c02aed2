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

// runStats is the content of pot's file .last_run_stats. pot last-run-stats prints it, and
// drivers read that.
type runStats struct{ ExitCode int }

// runStatsFile is in conf, and so goes into images, as with pot.
const runStatsFile = conf.Dir + "/.last_run_stats"

// saveLastRun saves the exit status of the pot's command in its dataset, where it outlives
// the record of the run. Best effort: a failed write must not keep a pot from being stopped.
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

// LastExitTime returns when the pot's command last exited. It returns fs.ErrNotExist if the
// command never has. It is the time of the file, which prune -g compares with now, as in
// pot.
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
		return time.Time{}, tree.TrimOp(err)
	}
	return info.ModTime(), nil
}

// LastExitCode returns the exit code of the pot's command when it last exited. It returns
// fs.ErrNotExist if the command never has, or if the file that says so is damaged. While
// the record of a run exists, it wins over the file, which is written when the run is
// cleaned up.
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
	if err := json.Unmarshal(data, &stats); err != nil { // a crash damaged it; the next exit replaces it
		return 0, fmt.Errorf("%s: %w: %w", runStatsFile, fs.ErrNotExist, err)
	}
	return stats.ExitCode, nil
}
