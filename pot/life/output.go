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

// followFile copies a file that grows, and those that take its place.
func followFile(name string, to io.Writer, ended <-chan struct{}) {
	f := reading(name + supervise.RotatedSuffix)
	if f == nil {
		f = reading(name)
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
			next := followed(name, f)
			if _, err := io.Copy(to, f); err != nil { // to its end, if there is another
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

// reading is a file that is kept until it has been read, nil if it is not there.
func reading(name string) *os.File {
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

// followed is the file that has taken f's place, if one has: nothing more is written to f.
func followed(name string, f *os.File) *os.File {
	next := reading(name)
	if next == nil {
		return nil // between the two
	}
	was, err1 := f.Stat()
	is, err2 := next.Stat()
	if err1 != nil || err2 != nil || os.SameFile(was, is) {
		next.Close()
		return nil
	}
	return next
}
