package life

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nomad-driver-pot/pot/supervise"
)

// ownOutput makes the files that the command of a pot writes to whose outputs nobody
// else has asked for.
func (p *Pot) createLogs() (stdout, stderr string, err error) {
	stdout, stderr = p.logFiles()
	for _, name := range []string{stdout, stderr} {
		if e := os.WriteFile(name, nil, 0o600); e != nil {
			err = errors.Join(err, e)
		}
	}
	return stdout, stderr, err
}

// ownOutputBytes is what a file of the output of a pot that was started by hand holds.
// There are two of each output: when one is full it takes the place of the older.
const maxLogBytes = 16 << 20

// output is where what a pot that was started by hand writes is kept: the newest of it.
func (p *Pot) logFiles() (stdout, stderr string) {
	return filepath.Join(p.dir, "stdout.log"), filepath.Join(p.dir, "stderr.log")
}

// followEvery is how often a pot's output is looked at.
const followEvery = 50 * time.Millisecond

// Follow copies what a pot that was started by hand writes, from its start, until done is
// called, which copies the rest.
func (p *Pot) Follow(stdout, stderr io.Writer) (done func()) {
	out, faults := p.logFiles()
	ended := make(chan struct{})
	var all sync.WaitGroup
	for file, to := range map[string]io.Writer{out: stdout, faults: stderr} {
		all.Go(func() { followFile(file, to, ended) })
	}
	return func() {
		close(ended)
		all.Wait()
	}
}

// followFile copies a file that grows, and those that replace it.
func followFile(name string, to io.Writer, ended <-chan struct{}) {
	f := successor(name, nil)
	if f == nil {
		return
	}
	defer func() { f.Close() }()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		last := false
		select {
		case <-ended:
			last = true
		case <-tick.C:
		}
		for next := f; next != nil; {
			next = successor(name, f) // before f is read: then nothing more is written to it
			if _, err := io.Copy(to, f); err != nil {
				if next != nil {
					next.Close()
				}
				return
			}
			if next != nil {
				f.Close()
				f = next
			}
		}
		if last {
			return
		}
	}
}

// successor opens the file that was written after f, or the oldest if f is nil. It returns
// nil if f is the newest. No writer waits for readers: a reader that is two files behind
// goes on with the older one that is left.
func successor(name string, f *os.File) *os.File {
	newest, _ := os.Open(name) // first: a rotation meanwhile makes it the older one
	older, _ := os.Open(name + supervise.RotatedSuffix)
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
