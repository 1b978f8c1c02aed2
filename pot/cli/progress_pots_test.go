package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/imagetest"
)

// An import and an export show a progress bar with the remaining time.
func TestProgress_pots(t *testing.T) {
	leak.Check(t)
	need.Have(t, "linux", runtime.GOOS == "linux")
	need.Have(t, "root", os.Geteuid() == 0)
	dir := t.TempDir()
	t.Setenv("POT_DIR", filepath.Join(dir, "state"))
	t.Setenv("POT_CONFIG", filepath.Join(dir, "pot.conf"))
	name := imagetest.HelloName + "_" + imagetest.HelloTag + ".xz"
	server := imagetest.NewServer(t)
	server.Fail(name, slow(true))

	text := onTerminal(t, "pot", "import", "-p", imagetest.HelloName, "-t", imagetest.HelloTag, "-U", server.URL)
	shown := regexp.MustCompile(`downloading ` + regexp.QuoteMeta(name) + ` +\d+% \|█* *\| \([\d.]+/\d+ [KM]iB, [\d.]+ [KM]?i?B/s\) \[\d+s:\d+s\]`)
	must.True(t, shown.MatchString(text), must.Sprintf("%q", text))
	must.StrContains(t, text, "importing "+name)

	// A base of nothing: its files are counted while it is unpacked.
	base := filepath.Join(dir, "base.tar")
	must.NoError(t, exec.Command("tar", "-C", filepath.Join(dir, "state/jails", imagetest.HelloName+"_1_0", "m"), "-cf", base, ".").Run())
	text = onTerminal(t, "pot", "create", "web", "-b", base)
	must.StrContains(t, text, "unpacking base.tar")

	// An incompressible file: its export takes a while.
	own := filepath.Join(dir, "state/jails", imagetest.HelloName+"_1_0", "m/noise")
	must.NoError(t, exec.Command("dd", "if=/dev/urandom", "of="+own, "bs=1M", "count=16").Run())
	pot := imagetest.HelloName + "_1_0"
	text = onTerminal(t, "pot", "snapshot", "-p", pot, "-r")
	must.Eq(t, "", text)
	text = onTerminal(t, "pot", "export", "-p", pot, "-t", "2", "-D", dir, "-F", "-l", "1")
	shown = regexp.MustCompile(`exporting ` + pot + `_2 +\d+% \|█* *\| \([\d.]+/\d+ MiB, [\d.]+ [KM]?i?B/s\) \[\d+s:\d+s\]`)
	must.True(t, shown.MatchString(text), must.Sprintf("%q", text))
}
