package driver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
)

// A container image is named by URL, tag and digest, which must agree. All that is wrong is
// reported at once, by key.
func TestTaskConfig_container(t *testing.T) {
	leak.Check(t, leak.Foreign)
	digest, other := "sha256:"+strings.Repeat("a1", 32), "sha256:"+strings.Repeat("b2", 32)
	const app = `image = "docker://registry.example.org:5000/team/app`
	for _, tc := range []struct {
		name, config string
		want         image.Container
	}{
		{"neither tag nor digest", app + `"`, image.Container{}},
		{"a tag in the URL", app + `:1.0"`, image.Container{Tag: "1.0"}},
		{"a tag", app + "\"\ntag = \"1.0\"", image.Container{Tag: "1.0"}},
		{"the same tag twice", app + ":1.0\"\ntag = \"1.0\"", image.Container{Tag: "1.0"}},
		{"a digest in the URL", app + "@" + digest + `"`, image.Container{Digest: digest}},
		{"a digest", app + fmt.Sprintf("\"\ndigest = %q", digest), image.Container{Digest: digest}},
		{"a tag and a digest", app + fmt.Sprintf(":1.0@%s\"", digest), image.Container{Tag: "1.0", Digest: digest}},
		{"a name", app + "\"\npot = \"web\"", image.Container{Pot: "web"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := backendOf(t, "").plan(taskOf(t, tc.config))
			must.NoError(t, err)
			tc.want.Repo = "registry.example.org:5000/team/app"
			if tc.want.Pot == "" {
				tc.want.Pot = "app"
			}
			must.Eq(t, &tc.want, p.container)
		})
	}
	signed, _ := keyFile(t)
	for _, tc := range []struct{ name, plugin, config, want string }{
		{name: "another tag", config: app + ":1.0\"\ntag = \"1.1\"", want: `config.tag: is "1.1", but config.image has the tag "1.0": remove one of them`},
		{name: "a tag that is a number", config: app + "\"\ntag = 1.0", want: "config.tag: must be a string, in quotes"},
		{name: "another digest", config: app + fmt.Sprintf("@%s\"\ndigest = %q", digest, other), want: "config.digest: is not the digest in config.image: remove one of them"},
		{name: "a skein", config: app + fmt.Sprintf("\"\ndigest = \"skein1024:%0256d\"", 1),
			want: "config.digest: must be the sha256 of a manifest, as docker and skopeo show it: only images in files have a skein1024"},
		{name: "half a digest", config: app + "\"\ndigest = \"sha256:00\"", want: `config.digest: must be sha256: and 64 hexadecimal digits in lower case, not "sha256:00"`},
		{name: "no registry", config: `image = "docker://redis:7"`, want: `config.image: must name the registry: write "docker://docker.io/library/redis:7"`},
		{name: "no registry but a namespace", config: `image = "docker://grafana/loki"`, want: `config.image: must name the registry: write "docker://docker.io/grafana/loki"`},
		{name: "a signature", config: app + fmt.Sprintf("\"\nsignify_pubkey = %q", signed), want: "config.signify_pubkey: must not be set: signatures of container images cannot be checked yet; set digest"},
		{name: "a client that wants signatures", plugin: "verify { require_signature = true }", config: app + `"`, want: "config.image: must not be a container image: this client only accepts signed images"},
		{name: "a client with a key", plugin: fmt.Sprintf("verify { signify_pubkey = %q }", signed), config: app + `"`, want: "config.image: must not be a container image: this client only accepts signed images"},
		{name: "another registry than the client's", plugin: `allowed_images = ["docker://registry.example.org/team"]`, config: app + `"`, want: "config.image: is not below any URL in this client's allowed_images"},
		{name: "a header", config: app + "\"\nauth { header = \"X: geheim\" }", want: "config.auth: header: registries take username and password, or token"},
		{name: "a name that no pot can have", config: app + "\"\npot = \"a/b\"", want: "config.pot: must be letters, digits"},
		{name: "all at once", config: app + ":1.0\"\ntag = \"1.1\"\ndigest = \"sha256:0\"\npot = \"a/b\"\nwork_dir = \"x\"", want: "config.work_dir: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := backendOf(t, tc.plugin).plan(taskOf(t, tc.config))
			must.ErrorContains(t, err, tc.want)
			must.StrNotContains(t, err.Error(), "geheim")
			if tc.name == "all at once" {
				for _, key := range []string{"config.tag: ", "config.digest: ", "config.pot: "} {
					must.StrContains(t, err.Error(), key)
				}
			}
		})
	}
	for _, allowed := range []string{"docker://registry.example.org:5000", "docker://registry.example.org:5000/team/", "docker://Registry.example.org:5000/team/app"} {
		_, err := backendOf(t, fmt.Sprintf("allowed_images = [%q]", allowed)).plan(taskOf(t, app+`:1.0"`))
		must.NoError(t, err)
	}
	p, err := backendOf(t, "").plan(taskOf(t, strings.Replace(app, "docker://", "docker://ann:geheim@", 1)+`:1.0"`))
	must.NoError(t, err)
	must.Eq(t, "docker://registry.example.org:5000/team/app:1.0", p.container.String())
	must.True(t, p.terms.Credentials == image.Credentials{Username: "ann", Password: "geheim"})
}
