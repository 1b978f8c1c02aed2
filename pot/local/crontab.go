package local

import (
	"errors"
	"io/fs"
	"nomad-driver-pot/pot/tree"
	"os"
	"strings"
)

const (
	crontab    = "etc/crontab"
	maxCrontab = 1 << 20
)

// fitCrontab takes out of a new pot's crontab(5) what is a host's to do: to save
// entropy and to set the clock (pot-reference 4.5). A tree without one stays as it is.
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
		return err
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
	fit := fittedCrontab(string(text))
	if fit == string(text) {
		return nil
	}
	_, err = f.WriteAt([]byte(fit), 0)
	return errors.Join(err, f.Close())
}

// fittedCrontab has those lines as comments.
func fittedCrontab(text string) string {
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
