package local

import (
	"strings"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// No concurrent change of a pot is lost. The shell tool pot loses all but one.
func TestAddDep_concurrent(t *testing.T) {
	leak.Check(t)
	s, h := newPot(t, "web")
	names := []pot.Name{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, name := range names {
		addPot(t, h, name)
	}
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() { must.NoError(t, s.Apply(t.Context(), AddDep{name})) })
	}
	all.Wait()
	deps, err := s.Deps()
	must.NoError(t, err)
	must.Len(t, len(names), deps)
	must.Eq(t, potConfText, strings.Join(strings.SplitAfter(s.file(t, conf.PotConf), "\n")[:5], ""))
}
