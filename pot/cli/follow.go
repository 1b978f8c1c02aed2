package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/flock"
	"nomad-driver-pot/pot/supervise"
)

// followEvery is how often a pot's output is looked at.
const followEvery = 50 * time.Millisecond

// follow shows what the pot writes, from its start, until done is called, which shows
// the rest.
func follow(c *cobra.Command, p *pot.Pot) (done func()) {
	stdout, stderr := p.Output()
	ended := make(chan struct{})
	var all sync.WaitGroup
	for file, to := range map[string]io.Writer{stdout: c.OutOrStdout(), stderr: c.ErrOrStderr()} {
		all.Go(func() { followFile(file, to, ended) })
	}
	return func() {
		close(ended)
		all.Wait()
	}
}

// followFile copies a file that grows, and those that take its place.
func followFile(name string, to io.Writer, ended <-chan struct{}) {
	f := reading(name + supervise.OlderOutput)
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
