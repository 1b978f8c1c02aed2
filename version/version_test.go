package version

import (
	"runtime/debug"
	"testing"

	goversion "github.com/hashicorp/go-version"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestOf(t *testing.T) {
	leak.Check(t)
	const commit = "e86883f4a1b2c3d4e5f60718293a4b5c6d7e8f90"
	for _, tt := range []struct {
		name, main string
		settings   map[string]string
		want       string
	}{
		{"the commit with the release's tag", "v" + Number, map[string]string{"vcs.revision": commit, "vcs.modified": "false"}, Number},
		{"sources without git", "(devel)", nil, Number},
		{"another commit", "v0.0.0-20261127230219-e86883f4a1b2", map[string]string{"vcs.revision": commit, "vcs.modified": "false"}, Number + "-dev+e86883f4a1b2"},
		{"a commit after an older tag", "v0.1.1-0.20261127230219-e86883f4a1b2", map[string]string{"vcs.revision": commit, "vcs.modified": "false"}, Number + "-dev+e86883f4a1b2"},
		{"changed files", "v" + Number + "+dirty", map[string]string{"vcs.revision": commit, "vcs.modified": "true"}, Number + "-dev+e86883f4a1b2.dirty"},
		{"a short revision", "(devel)", map[string]string{"vcs.revision": "r12"}, Number + "-dev+r12"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info := &debug.BuildInfo{Main: debug.Module{Version: tt.main}}
			for k, v := range tt.settings {
				info.Settings = append(info.Settings, debug.BuildSetting{Key: k, Value: v})
			}
			got := of(info)
			must.Eq(t, tt.want, got)
			v, err := goversion.NewSemver(got)
			must.NoError(t, err)
			must.Eq(t, got == Number, v.Prerelease() == "")
		})
	}
}
