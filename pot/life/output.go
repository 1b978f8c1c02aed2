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

// createLogs creates the log files for the command of a pot that was started by hand: no
// other program reads its outputs.
func (p *Pot) createLogs() (stdout, stderr string, err error) {
	stdout, stderr = p.logFiles()
	for _, name := range []string{stdout, stderr} {
		if e := os.WriteFile(name, nil, 0o600); e != nil {
			err = errors.Join(err, e)
		}
	}
	return stdout, stderr, err
}

// maxLogBytes is the size at which a log file of a pot that was started by hand is rotated.
// Two files of each output are kept.
const maxLogBytes = 16 << 20

// logFiles returns the paths of the log files of a pot that was started by hand. They hold
// the newest of its output.
func (p *Pot) logFiles() (stdout, stderr string) {
	return filepath.Join(p.dir, "stdout.log"), filepath.Join(p.dir, "stderr.log")
}

// followEvery is how often Follow reads what was appended to the log files.
const followEvery = 50 * time.Millisecond

// Follow copies the output of a pot that was started by hand, from the oldest that is kept.
// The caller must call done, which copies the rest and returns when it is written.
func (p *Pot) Follow(stdout, stderr io.Writer) (done func()) {
	stdoutLog, stderrLog := p.logFiles()
	ended := make(chan struct{})
	var all sync.WaitGroup
	for file, to := range map[string]io.Writer{stdoutLog: stdout, stderrLog: stderr} {
		all.Go(func() { followFile(file, to, ended) })
	}
	return func() {
		close(ended)
		all.Wait()
	}
}

// followFile copies a log file as it grows, and after a rotation the file that replaces it.
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
// continues with the older one that is left.
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
