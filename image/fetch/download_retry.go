package fetch

import (
	"context"
	"errors"
	"path"
	"syscall"
	"time"

	"nomad-driver-pot/image"
)

// attempts is how often one download asks for a file, as long as each time more of it
// arrives; pause is between the first two, and grows.
const (
	attempts = 4
	pause    = 500 * time.Millisecond
)

// complete downloads what is missing in p, and verifies the whole. After an error p keeps
// what it has, if a later download can resume it.
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
			d.progress.Report("the download of %s was interrupted, and goes on at %s: %v", path.Base(d.URL.Path), image.FormatSize(most), err)
		}
		return again, err
	})
}

// retry calls try until it succeeds, at most so many times, as long as it says that it may
// succeed when called again. wait is the time before the next call, after the n-th.
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
