package cli

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
)

func TestParseImage(t *testing.T) {
	leak.Check(t)
	for text, want := range map[string]image.Ref{
		"https://images.example.org/pots/web:1.0": {Source: "https://images.example.org/pots", Name: "web", Tag: "1.0"},
		"docker://registry.example.org/team/app@sha256:" + strings.Repeat("0f", 32): {
			Source: "docker://registry.example.org/team/app", Name: "app", Tag: "sha256-0f0f0f0f0f0f0f0f"},
	} {
		got, err := parseImage(text)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	_, err := parseImage("web")
	must.Error(t, err)
}

func TestRefProblem_container(t *testing.T) {
	leak.Check(t)
	err := refProblem(image.Ref{Source: "docker://registry.example.org/team/app", Name: "app", Tag: "1.0"}, "-p")
	must.EqError(t, err, "-U: is a container image: pot image build --from makes an image of it")
}
