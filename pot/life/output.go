package life

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"nomad-driver-pot/pot"
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

// Logs returns a pot's Logs: of its last run by hand, or of the present one. The caller must
// close them. It returns fs.ErrNotExist if the pot was never started by hand.
func (ps *Pots) Logs(name pot.Name) (*Logs, error) {
	if err := name.Validate(); err != nil {
		return nil, err
	}
	p, err := ps.Find(name)
	if err != nil {
		p = ps.pot(name)
	}
	return p.logs()
}
