package image

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestParseContainer(t *testing.T) {
	leak.Check(t)
	digest := "sha256:" + strings.Repeat("0f", 32)
	for source, want := range map[string]Container{
		"docker://docker.io/alpine":                      {Repo: "docker.io/library/alpine", Pot: "alpine"},
		"docker://index.docker.io/grafana/loki:3":        {Repo: "docker.io/grafana/loki", Tag: "3", Pot: "loki"},
		"docker://Registry.example.org:5000/a/b.c_d:1.0": {Repo: "registry.example.org:5000/a/b.c_d", Tag: "1.0", Pot: "b-c_d"},
		"docker://localhost/web@" + digest:               {Repo: "localhost/web", Digest: digest, Pot: "web"},
		"docker://[::1]:5000/web:1.0@" + digest:          {Repo: "[::1]:5000/web", Tag: "1.0", Digest: digest, Pot: "web"},
		"docker://a.example/" + strings.Repeat("n", 100): {Repo: "a.example/" + strings.Repeat("n", 100), Pot: strings.Repeat("n", 64)},
		"docker://a.example/b/..c":                       {Repo: "a.example/b/..c", Pot: "c"},
	} {
		got, err := ParseContainer(source)
		must.NoError(t, err, must.Sprint(source))
		must.Eq(t, want, got)
		must.NoError(t, Ref{Source: "file:///", Name: got.Pot, Tag: got.DatasetTag()}.Validate())
		again, err := ParseContainer(got.String())
		must.NoError(t, err)
		must.Eq(t, got.String(), again.String())
	}
	for _, source := range []string{
		"", "docker://", "docker://a.example", "docker://a.example:5000", "docker://a.example/", "docker://a.example/b:", "docker://a.example/b@sha256:0",
		"docker://a.example/b@sha512:" + strings.Repeat("0", 128), "docker://a.example/B", "docker://a.example//b", "docker://a.example/../b",
		"docker://a.example/b?c", "docker://a.example/b c", "docker://a.example/b:%31", "docker://alpine", "docker://a/b", "https://a.example/b",
	} {
		_, err := ParseContainer(source)
		must.Error(t, err, must.Sprint(source))
	}
}

func TestContainer_Dataset(t *testing.T) {
	leak.Check(t)
	c, err := ParseContainer("docker://docker.io/alpine")
	must.NoError(t, err)
	must.Eq(t, "docker://docker.io/library/alpine:latest", c.String())
	must.True(t, c.Moves())
	must.Eq(t, "alpine_sha256", c.Dataset())
	c.Digest = "sha256:" + strings.Repeat("0f", 32)
	must.Eq(t, "docker://docker.io/library/alpine@"+c.Digest, c.String())
	must.False(t, c.Moves())
	must.Eq(t, "alpine_sha256-0f0f0f0f0f0f0f0f", c.Dataset())
}

func TestPrefix_container(t *testing.T) {
	leak.Check(t)
	p, err := ParsePrefix("docker://docker.io/library")
	must.NoError(t, err)
	must.True(t, p.Covers("docker://docker.io/library/alpine"))
	must.False(t, p.Covers("docker://docker.io/library-of-mine/alpine"))
	must.False(t, p.Covers("docker://docker.io.evil/library/alpine"))
	must.False(t, p.Covers("https://docker.io/library/alpine"))
	for _, bad := range []string{"docker://", "docker://a.example/b:1.0", "docker://a.example/b@sha256:0", "docker://u:geheim@a.example/b", "docker://a.example/..", "docker://a.example/?x"} {
		_, err := ParsePrefix(bad)
		must.Error(t, err, must.Sprint(bad))
		must.StrNotContains(t, err.Error(), "geheim")
	}
}
