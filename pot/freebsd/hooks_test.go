package freebsd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

// An image's dataset has its programs for the host beside pot.conf; a clone's conf has
// those of them that are allowed.
func TestHooks(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	log := filepath.Join(t.TempDir(), "log")
	for _, hook := range conf.Hooks {
		text := fmt.Sprintf("#!/bin/sh\necho %s $_POT_NAME $_POT_IP ${_POT_JID:+in jail} >> %s\n", hook, log)
		must.NoError(t, os.WriteFile(m.place("tank/pot/jails/web_1_0/conf/"+string(hook)+".sh"), []byte(text), 0o755))
	}
	h, _ := m.host(t)
	pots := life.Open(h, potconf.Config{Dir: t.TempDir(), Network: pot.DefaultNetwork})
	s := web(t)
	s.Hooks = []conf.Hook{conf.PreStart, conf.PostStop}
	p, err := pots.Create(t.Context(), s)
	must.NoError(t, err)
	must.Eq(t, []conf.Hook{conf.PostStart, conf.PreStop}, p.RefusedHooks())
	files, err := filepath.Glob(m.place("tank/pot/jails/web/conf/*.sh"))
	must.NoError(t, err)
	must.Eq(t, []string{m.place("tank/pot/jails/web/conf/poststop.sh"), m.place("tank/pot/jails/web/conf/prestart.sh")}, files)
	must.NoError(t, p.Destroy(t.Context()))
	must.NoError(t, p.Destroy(t.Context()))
	must.SliceEmpty(t, p.Notes())
	got, err := os.ReadFile(log)
	must.NoError(t, err)
	must.Eq(t, "prestart web 10.192.0.2\npoststop web 10.192.0.2\n", string(got))
}
