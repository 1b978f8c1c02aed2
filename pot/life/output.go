package life

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nomad-driver-pot/pot/flock"
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
	f := openLog(name + supervise.RotatedSuffix)
	if f == nil {
		f = openLog(name)
	}
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
		for again := true; again; {
			next := rotatedTo(name, f)
			if _, err := io.Copy(to, f); err != nil { // after next was opened, so f is complete
				return
			}
			if again = next != nil; again {
				f.Close()
				f = next
			}
		}
		if last {
			return
		}
	}
}

// openLog opens a log file and marks it as being read: the supervisor waits, for a bounded
// time, before it replaces a file that is being read. It returns nil if the file cannot be
// opened.
func openLog(name string) *os.File {
	f, err := os.Open(name)
	if err == nil {
		err = flock.Read(f)
	}
	if err != nil {
		f.Close()
		return nil
	}
	return f
}

// rotatedTo returns the file that has replaced f after a rotation, when nothing more is
// written to f; nil if f is still the newest.
func rotatedTo(name string, f *os.File) *os.File {
	next := openLog(name)
	if next == nil {
		return nil // f is renamed, and the new file is not created yet
	}
	was, err1 := f.Stat()
	is, err2 := next.Stat()
	if err1 != nil || err2 != nil || os.SameFile(was, is) {
		next.Close()
		return nil
	}
	return next
}
