package fetch

import (
	"context"
	"errors"
	"path"
	"syscall"
	"time"

	"nomad-driver-pot/image"
)

// attempts is how often one download asks for a file, if each attempt gets further than
// all before it. The n-th pause between attempts is n times pause.
const (
	attempts = 4
	pause    = 500 * time.Millisecond
)

// complete downloads the missing part of p, and calls verify for the whole file. If verify
// fails after the first attempt resumed a partial, which may have been the beginning of
// another file, complete downloads all of it once more. After an error p keeps its bytes if
// a later download can resume it, unless the disk is full.
func (d *Download) complete(ctx context.Context, p *partial, verify func() error) error {
	d.part = p
	most := p.n
	return Retry(ctx, attempts, func(n int) time.Duration { return time.Duration(n) * pause }, func(n int) (again bool, err error) {
		resumed := p.n > 0
		err = d.To(ctx, p)
		if err == nil {
			if err = verify(); err == nil {
				return false, nil
			}
			if restarted := p.restart(); restarted != nil {
				return false, d.Final(restarted)
			}
			if resumed && n == 1 { // it is the beginning of another file
				return true, err
			}
		}
		p.done = !image.Retryable(err) && ctx.Err() == nil || errors.Is(err, syscall.ENOSPC)
		again = image.Retryable(err) && ctx.Err() == nil && p.n > most
		if again && n < attempts {
			most = p.n
			d.progress.Report("the download of %s was interrupted, continuing at %s: %v", path.Base(d.URL.Path), image.FormatSize(most), err)
		}
		return again, err
	})
}

// Retry calls try with 1, 2 and so on until it succeeds, returns that it cannot succeed
// later, has been called most times, or ctx ends; it returns try's last error. wait returns
// the pause after the n-th call.
func Retry(ctx context.Context, most int, wait func(n int) time.Duration, try func(n int) (again bool, err error)) error {
	for n := 1; ; n++ {
		again, err := try(n)
		if err == nil || !again || n == most || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait(n)):
		}
	}
}
