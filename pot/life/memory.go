package life

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// MemoryBytes returns the pot's memory limit; 0 if it has none, or if its record cannot be
// read.
func (p *Pot) MemoryBytes() int64 { return p.record.Spec.Limits.MemoryBytes }

// OutOfMemory reports whether the kernel has killed any process of the pot for want of
// memory, the pot's command or another.
func (p *Pot) OutOfMemory(ctx context.Context) (bool, error) {
	return p.host.Limits.OutOfMemory(ctx, p.jailName())
}

// memoryFile is created in the pot's directory when ReportOutOfMemory has returned true.
const memoryFile = "memory-reported"

// ReportOutOfMemory is OutOfMemory for a report that must be made once in a pot's life,
// by whichever process: only the first call that finds a kill returns true.
func (p *Pot) ReportOutOfMemory(ctx context.Context) (bool, error) {
	path := filepath.Join(p.dir, memoryFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	kills, err := p.OutOfMemory(ctx)
	if err != nil || !kills {
		return false, err
	}
	err = os.WriteFile(path, nil, 0o600)
	return true, err
}
