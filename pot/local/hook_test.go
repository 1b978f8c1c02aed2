package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
)

func TestPot_hook(t *testing.T) {
	leak.Check(t)
	s, _ := newPot(t, "web")
	program := filepath.Join(t.TempDir(), "p")
	must.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\necho $_POT_NAME in $PWD with $SECRET\nexit 3\n"), 0o755))
	t.Setenv("SECRET", "s3cret")
	var told []string
	o := StartOptions{Tell: func(text string) { told = append(told, text) }}

	s.hook(t.Context(), conf.PreStart, nil, o) // there is none
	must.SliceEmpty(t, told)
	must.NoError(t, s.Apply(t.Context(), SetHook{conf.PreStart, program}))
	s.hook(t.Context(), conf.PreStart, nil, o)
	must.Eq(t, []string{"prestart of pot web: web in / with", "prestart of pot web: exit status 3"}, told)

	told = nil
	must.NoError(t, os.WriteFile(filepath.Join(s.dir, "conf/prestart.sh"), []byte("#!/bin/sh\necho from an image\n"), 0o755))
	s.hook(t.Context(), conf.PreStart, nil, o)
	must.Eq(t, []string{"conf/prestart.sh of pot web: was not set on this host, and may have come with an image: not run"}, told)
}
