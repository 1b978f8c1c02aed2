package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
)

// Files that came with an image are told from those that were set on this host.
func TestPot_Approve(t *testing.T) {
	leak.Check(t)
	s, _ := newPot(t, "web")
	dir := t.TempDir()
	must.NoError(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/x"}))
	must.NoError(t, s.approved(t.Context(), conf.FSCompConf))

	at := filepath.Join(s.dir, conf.FSCompConf)
	must.NoError(t, os.WriteFile(at, []byte(dir+" /x\n/etc /host\n"), 0o644))
	must.ErrorIs(t, s.approved(t.Context(), conf.FSCompConf), ErrNotApproved)
	_, err := s.Spec(t.Context(), DefaultDNS)
	must.EqError(t, err, "pot web: fscomp.conf: conf/fscomp.conf of pot web: was not set on this host, and may have come with an image")
	must.NoError(t, s.Apply(t.Context(), MountOut{"/x"}))
	must.ErrorIs(t, s.approved(t.Context(), conf.FSCompConf), ErrNotApproved) // the other line is still not approved

	must.NoError(t, os.WriteFile(filepath.Join(s.dir, "conf/prestart.sh"), []byte("#!/bin/sh\n"), 0o755))
	must.ErrorIs(t, s.approved(t.Context(), conf.PreStart.File()), ErrNotApproved)
	must.NoError(t, s.Approve(t.Context()))
	must.NoError(t, s.approved(t.Context(), conf.FSCompConf))
	must.NoError(t, s.approved(t.Context(), conf.PreStart.File()))
	must.NoError(t, s.approved(t.Context(), conf.PostStop.File())) // there is none
}
