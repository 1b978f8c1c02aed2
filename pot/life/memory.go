package life

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// MemoryBytes is the pot's memory limit; 0 if it has none, or if its record cannot be
// read.
func (p *Pot) MemoryBytes() int64 { return p.record.Spec.Limits.MemoryBytes }

// OutOfMemory reports whether the kernel has killed anything in the pot for want of
// memory, whether that was the pot's command or not.
func (p *Pot) OutOfMemory(ctx context.Context) (bool, error) {
	return p.host.Limits.OutOfMemory(ctx, p.name)
}

// memoryFile is in the directory of a pot whose kills for memory somebody has reported.
const memoryFile = "memory-reported"

// ReportOutOfMemory is OutOfMemory for a report that is made once in a pot's life,
// whichever process makes it: it returns true the first time only.
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
