package local

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
)

func TestSetHook(t *testing.T) {
	leak.Check(t)
	s, _ := newPot(t, "web")
	program := filepath.Join(t.TempDir(), "p")
	must.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o750))
	outside := filepath.Join(t.TempDir(), "o")
	must.NoError(t, os.Symlink(outside, filepath.Join(s.dir, "conf/poststop.sh.new")))
	for hook, file := range map[conf.Hook]string{conf.PreStart: "prestart.sh", conf.PostStart: "poststart.sh", conf.PreStop: "prestop.sh", conf.PostStop: "poststop.sh"} {
		must.NoError(t, s.Apply(t.Context(), SetHook{hook, program}))
		must.Eq(t, "#!/bin/sh\n", s.file(t, "conf/"+file))
		info, err := os.Stat(filepath.Join(s.dir, "conf", file))
		must.NoError(t, err)
		must.Eq(t, fs.FileMode(0o755), info.Mode())
		must.NoError(t, s.approved(t.Context(), hook.File()))
	}
	_, err := os.Stat(outside)
	must.ErrorIs(t, err, fs.ErrNotExist)
}
