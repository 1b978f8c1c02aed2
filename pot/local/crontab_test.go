package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestPot_disableHostJobs(t *testing.T) {
	leak.Check(t)
	// As in FreeBSD 14.2's etc/crontab (usr.sbin/cron/cron).
	const text = "SHELL=/bin/sh\n*/11\t*\t*\t*\t*\toperator /usr/libexec/save-entropy\n#1 adjkerntz\n1,31\t0-5\t*\t*\t*\troot\tadjkerntz -a\n0\t*\t*\t*\t*\troot\tnewsyslog"
	want := strings.NewReplacer("*/11", "#*/11", "1,31", "#1,31").Replace(text)
	s, _ := newPot(t, "web")
	must.NoError(t, s.disableHostJobs()) // there is none
	path := filepath.Join(s.tree(), "etc/crontab")
	must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.NoError(t, os.WriteFile(path, []byte(text), 0o640))
	for range 2 {
		must.NoError(t, s.disableHostJobs())
		must.Eq(t, want, s.file(t, "m/etc/crontab"))
	}
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.Eq(t, 0o640, info.Mode())

	outside := filepath.Join(t.TempDir(), "crontab")
	must.NoError(t, os.WriteFile(outside, []byte(text), 0o600))
	must.NoError(t, os.Remove(path))
	must.NoError(t, os.Symlink(outside, path))
	must.NoError(t, s.disableHostJobs())
	must.FileContains(t, outside, "\n*/11")
	must.NoError(t, os.Remove(path))
	must.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#", maxCrontab+1)), 0o600))
	must.ErrorContains(t, s.disableHostJobs(), "/etc/crontab: more than 1048576 bytes")
}
