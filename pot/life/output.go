package life

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// createLogs creates the log files for the command of a pot that was started by hand: no
// other program reads its outputs. They replace the log files of the run before.
func (p *Pot) createLogs() (stdout, stderr string, err error) {
	if err := p.RemoveLogs(p.name); err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(p.logDir(p.name), 0o700); err != nil {
		return "", "", err
	}
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

// logDir returns the directory of a pot's log files. It is beside the records: the log files
// stay when the pot is stopped.
func (ps *Pots) logDir(name pot.Name) string {
	return filepath.Join(filepath.Dir(ps.dir), "logs", string(name))
}

// logFiles returns the paths of the log files of a pot that was started by hand. They hold
// the newest of its output. A pot that runs has them where it was started with them.
func (p *Pot) logFiles() (stdout, stderr string) {
	if s := p.record.Spec; s.InPlace && s.Stdout != "" {
		return s.Stdout, s.Stderr
	}
	dir := p.logDir(p.name)
	return filepath.Join(dir, "stdout.log"), filepath.Join(dir, "stderr.log")
}

// RemoveLogs removes the log files of a pot. It returns nil if there are none.
func (ps *Pots) RemoveLogs(name pot.Name) error { return os.RemoveAll(ps.logDir(name)) }

// RenameLogs keeps the log files of a pot that is renamed.
func (ps *Pots) RenameLogs(from, to pot.Name) error {
	err := ps.RemoveLogs(to)
	if err == nil {
		err = os.Rename(ps.logDir(from), ps.logDir(to))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Logs returns a pot's Logs: of its last run by hand, or of the present one. It returns
// fs.ErrNotExist if the pot was never started by hand.
func (ps *Pots) Logs(name pot.Name) (Logs, error) {
	if err := name.Validate(); err != nil {
		return Logs{}, err
	}
	p, err := ps.Find(name)
	if err != nil {
		p = ps.pot(name)
	}
	var l Logs
	l.stdout, l.stderr = p.logFiles()
	_, err = os.Stat(l.stdout)
	return l, err
}

// Logs are the log files of a pot that was started by hand.
type Logs struct{ stdout, stderr string }

// Copy copies the last lines of both outputs, all that is kept if lines is negative. With
// follow it then copies what is appended, until the caller calls done, which copies the rest
// and returns when it is written. Without follow done does nothing.
func (l Logs) Copy(stdout, stderr io.Writer, lines int, follow bool) (done func()) {
	ended := make(chan struct{})
	var all sync.WaitGroup
	for _, log := range []struct {
		file string
		to   io.Writer
	}{{l.stdout, stdout}, {l.stderr, stderr}} {
		f := copyTail(log.file, log.to, lines)
		if f == nil {
			continue
		}
		if !follow {
			f.Close()
			continue
		}
		all.Go(func() { followFile(log.file, f, log.to, ended) })
	}
	return func() {
		close(ended)
		all.Wait()
	}
}

// copyTail copies the last lines of a log, all if lines is negative, and returns its newest
// file, open at what was copied last. It returns nil if there is no log.
func copyTail(name string, to io.Writer, lines int) *os.File {
	newest, err := os.Open(name) // first: a rotation meanwhile makes it the older one
	if err != nil {
		return nil
	}
	files := []*os.File{newest}
	if older, err := os.Open(name + supervise.RotatedSuffix); err == nil {
		defer older.Close()
		if !sameFile(older, newest) {
			files = []*os.File{older, newest}
		}
	}
	skip := 0
	if lines >= 0 {
		for _, f := range files {
			skip += countLines(f)
			f.Seek(0, io.SeekStart)
		}
		skip -= lines
	}
	for _, f := range files {
		copyLines(to, f, &skip)
	}
	return newest
}

// countLines counts the lines of f. An unfinished last one counts.
func countLines(f io.Reader) (n int) {
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadSlice('\n')
		if err == nil || err == io.EOF && len(line) > 0 {
			n++
		}
		if err != nil && err != bufio.ErrBufferFull {
			return n
		}
	}
}

// copyLines copies f without its first lines, as many as skip says, and takes those off skip.
func copyLines(to io.Writer, f *os.File, skip *int) {
	r := bufio.NewReader(f)
	for *skip > 0 {
		_, err := r.ReadSlice('\n')
		switch err {
		case nil:
			*skip--
		case bufio.ErrBufferFull:
		default:
			return
		}
	}
	io.Copy(to, r)
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
		if f := successor(file, nil); f != nil {
			all.Go(func() { followFile(file, f, to, ended) })
		}
	}
	return func() {
		close(ended)
		all.Wait()
	}
}

// followFile copies a log from f, one of its files, as it grows, and after a rotation the
// file that replaces it. It closes f.
func followFile(name string, f *os.File, to io.Writer, ended <-chan struct{}) {
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
