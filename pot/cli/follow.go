package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
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

// followFile copies a file that grows.
func followFile(name string, to io.Writer, ended <-chan struct{}) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		last := false
		select {
		case <-ended:
			last = true
		case <-tick.C:
		}
		if _, err := io.Copy(to, f); err != nil || last {
			return
		}
	}
}
