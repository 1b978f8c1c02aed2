package local

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"nomad-driver-pot/pot/tree"
)

// crontab is the path in the tree; maxCrontab bounds its size, in bytes.
const (
	crontab    = "etc/crontab"
	maxCrontab = 1 << 20
)

// disableHostJobs comments out the jobs in a new pot's crontab(5) that only a host may run:
// save-entropy and adjkerntz, which sets the clock. pot create does the same
// (share/pot/create.sh). A tree without a regular /etc/crontab is left alone.
func (s *Pot) disableHostJobs() error {
	root, err := os.OpenRoot(s.tree())
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(crontab)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return tree.TrimOp(err)
	}
	f, err := root.OpenFile(crontab, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := tree.ReadAtMost(f, "/"+crontab, maxCrontab)
	if err != nil {
		return err
	}
	after := withoutHostJobs(string(text))
	if after == string(text) {
		return nil
	}
	_, err = f.WriteAt([]byte(after), 0)
	return errors.Join(err, f.Close())
}

// withoutHostJobs returns a crontab with the host's jobs as comments. Lines are only
// prefixed: a second call changes nothing, and the text never gets shorter, so it can be
// written over the old one in place.
func withoutHostJobs(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		words := strings.TrimSpace(line)
		if !strings.HasPrefix(words, "#") && (strings.HasSuffix(words, "save-entropy") || strings.Contains(words, "adjkerntz")) {
			b.WriteByte('#')
		}
		b.WriteString(line)
	}
	return b.String()
}
