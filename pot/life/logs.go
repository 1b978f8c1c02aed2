package life

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nomad-driver-pot/pot/supervise"
)

// Logs are the log files of one run of a pot that was started by hand. The next run has
// others, also if their paths are the same.
type Logs struct {
	dir            *os.Root // no path: a directory of that name may be another run's by now
	stdout, stderr string   // names in dir
}

// logs opens the log files of the pot's run.
func (p *Pot) logs() (*Logs, error) {
	stdout, stderr := p.logFiles()
	dir, err := os.OpenRoot(filepath.Dir(stdout))
	if err != nil {
		return nil, err
	}
	l := &Logs{dir, filepath.Base(stdout), filepath.Base(stderr)}
	if _, err := dir.Stat(l.stdout); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close closes the directory of the log files.
func (l *Logs) Close() error { return l.dir.Close() }

// Replaced reports whether the log files were removed: the pot was started again or destroyed.
func (l *Logs) Replaced() bool {
	mine, err1 := l.dir.Stat(".")
	now, err2 := os.Stat(l.dir.Name())
	return err1 != nil || err2 != nil || !os.SameFile(mine, now)
}

// Copy copies the last lines of both outputs, all that is kept if lines is negative. Unless
// until is nil it then copies what is appended, until that function returns, and what was
// appended before. The context of until ends if an output cannot be written. Copy returns
// the errors of writing and of until. If ctx ends, it copies nothing more.
func (l *Logs) Copy(ctx context.Context, stdout, stderr io.Writer, lines int, until func(context.Context) error) error {
	tails, err := l.copyTails(interruptible{ctx, stdout}, interruptible{ctx, stderr}, lines)
	defer func() {
		for _, t := range tails {
			t.newest.Close()
		}
	}()
	if err != nil || until == nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	var all sync.WaitGroup
	failed := make([]error, len(tails))
	for i := range tails {
		all.Go(func() {
			if failed[i] = tails[i].follow(l.dir, ended); failed[i] != nil {
				cancel()
			}
		})
	}
	err = until(ctx)
	close(ended)
	all.Wait()
	return errors.Join(append(failed, err)...)
}

// logTail is a log that is being copied.
type logTail struct {
	name   string
	newest *os.File // open at what was copied last
	to     io.Writer
}

// copyTails copies the last lines of both outputs. The caller must close the files.
func (l *Logs) copyTails(stdout, stderr io.Writer, lines int) (tails []logTail, err error) {
	for _, t := range []logTail{{name: l.stdout, to: stdout}, {name: l.stderr, to: stderr}} {
		var e error
		if t.newest, e = copyTail(l.dir, t.name, t.to, lines); t.newest != nil {
			tails = append(tails, t)
		}
		err = errors.Join(err, e)
	}
	return tails, err
}

// Follow copies the output of a pot that was started by hand, from the oldest that is kept.
// The caller must call done, which copies the rest, unless ctx has ended, and returns when it
// is written. What can be neither read nor written is lost: the pot's command does not depend
// on its output.
func (p *Pot) Follow(ctx context.Context, stdout, stderr io.Writer) (done func()) {
	l, err := p.logs()
	if err != nil {
		return func() {}
	}
	ended := make(chan struct{})
	var all sync.WaitGroup
	for _, t := range []logTail{{name: l.stdout, to: interruptible{ctx, stdout}}, {name: l.stderr, to: interruptible{ctx, stderr}}} {
		if t.newest = successor(l.dir, t.name, nil); t.newest == nil {
			continue
		}
		all.Go(func() {
			defer func() { t.newest.Close() }()
			t.follow(l.dir, ended)
		})
	}
	return func() {
		close(ended)
		all.Wait()
		l.Close()
	}
}

// interruptible is a writer until ctx ends. A log may be long and its reader slow, or a pot
// may write faster than the copy is written, which then has no end.
type interruptible struct {
	ctx context.Context
	w   io.Writer
}

// Write implements io.Writer.
func (i interruptible) Write(p []byte) (int, error) {
	if i.ctx.Err() != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.w.Write(p)
}

// copyTail copies the last lines of a log, all if lines is negative, and returns its newest
// file, open at what was copied last. It returns nil if there is no log.
func copyTail(dir *os.Root, name string, to io.Writer, lines int) (*os.File, error) {
	newest, err := dir.Open(name) // first: a rotation meanwhile makes it the older one
	if err != nil {
		return nil, nil
	}
	files := []*os.File{newest}
	if older, err := dir.Open(name + supervise.RotatedSuffix); err == nil {
		defer older.Close()
		if !sameFile(older, newest) {
			files = []*os.File{older, newest}
		}
	}
	// The files are read as one: a rotation is in the middle of a line.
	whole := func() *bufio.Reader {
		var all []io.Reader
		for _, f := range files {
			f.Seek(0, io.SeekStart)
			all = append(all, f)
		}
		return bufio.NewReader(io.MultiReader(all...))
	}
	skip := 0
	if lines >= 0 {
		skip = countLines(whole()) - lines
	}
	if err := copyLines(to, whole(), skip); err != nil {
		return nil, errors.Join(err, newest.Close())
	}
	return newest, nil
}

// countLines counts the lines of r. An unfinished last one counts.
func countLines(r *bufio.Reader) (n int) {
	begun := false // a line that is longer than r's buffer
	for {
		line, err := r.ReadSlice('\n')
		begun = begun || len(line) > 0
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case begun:
			n++
		}
		if err != nil {
			return n
		}
		begun = false
	}
}

// copyLines copies r without its first lines, as many as skip says.
func copyLines(to io.Writer, r *bufio.Reader, skip int) error {
	for skip > 0 {
		_, err := r.ReadSlice('\n')
		switch err {
		case nil:
			skip--
		case bufio.ErrBufferFull:
		default:
			return nil
		}
	}
	_, err := io.Copy(to, r)
	return err
}

// followEvery is how often follow reads what was appended to a log file.
const followEvery = 50 * time.Millisecond

// follow copies a log as it grows, and after a rotation the file that replaces it. It
// returns an error if the copy cannot be written.
func (t *logTail) follow(dir *os.Root, ended <-chan struct{}) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		last := false
		select {
		case <-ended:
			last = true
		case <-tick.C:
		}
		for more := true; more; {
			next := successor(dir, t.name, t.newest) // before newest is read: then nothing more is written to it
			_, err := io.Copy(t.to, t.newest)
			if more = next != nil; more {
				t.newest.Close()
				t.newest = next
			}
			if err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// successor opens the file that was written after f, or the oldest if f is nil. It returns
// nil if f is the newest. No writer waits for readers: a reader that is two files behind
// continues with the older one that is left.
func successor(dir *os.Root, name string, f *os.File) *os.File {
	newest, _ := dir.Open(name) // first: a rotation meanwhile makes it the older one
	older, _ := dir.Open(name + supervise.RotatedSuffix)
	next := older
	if older == nil || sameFile(f, older) {
		next = newest
	}
	if sameFile(f, newest) {
		next = nil
	}
	for _, opened := range []*os.File{newest, older} {
		if opened != nil && opened != next {
			opened.Close()
		}
	}
	return next
}

// sameFile reports whether two files that are open are one.
func sameFile(a, b *os.File) bool {
	if a == nil || b == nil {
		return false
	}
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
