package driver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
)

// What is wrong with an image's keys is told by key, all of it at once, with what to write.
func TestTaskConfig_ref(t *testing.T) {
	leak.Check(t, leak.Foreign)
	const pot = "pot = \"hello\"\ntag = \"1.0\"\n"
	const needPot, needTag = `config.pot: must be set to the name of the image, as in hello, for the file hello_1.0.xz`,
		`config.tag: must be set to the version of the image, as in 1.0, for the file hello_1.0.xz`
	for _, tc := range []struct {
		name, config string
		want         string // "" if it is valid
	}{
		{name: "an empty block", want: `config.image: must be set to the URL of the directory of the image's files, as in https://images.example.org/pots; ` +
			needPot + "; " + needTag},
		{name: "a tag that is a number", config: strings.Replace(least, `"1.0"`, `1.0`, 1),
			want: `config.tag: must be a string, in quotes, as in "1.0": a number loses its last zeros, and this one is read as 1`},
		{name: "a tag that looks like a number", config: strings.Replace(least, `"1.0"`, `"10"`, 1)},
		{name: "a file alone", config: `image = "https://images.example.org/pots/web-amd64_1.2.xz"`,
			want: `config.image: must be the directory of the image's files, not web-amd64_1.2.xz itself: write "https://images.example.org/pots"; ` +
				`config.pot: must be set: write "web-amd64"; config.tag: must be set: write "1.2"`},
		{name: "a file with its name", config: `image = "https://images.example.org/pots/hello_1.0.xz"` + "\n" + pot,
			want: `config.image: must be the directory of the image's files, not hello_1.0.xz itself: write "https://images.example.org/pots"; hello_1.0.xz is made of pot and tag`},
		{name: "no scheme", config: `image = "images.example.org:8443/pots"` + "\n" + pot,
			want: `config.image: must begin with https://, http://, file:// or docker://: write "https://images.example.org:8443/pots"`},
		{name: "a path", config: `image = "/srv/pots"` + "\n" + pot,
			want: `config.image: must begin with https://, http://, file:// or docker://: write "file:///srv/pots"`},
		{name: "no scheme and a password", config: `image = "puller:planted-secret@images.example.org/pots"` + "\n" + pot,
			want: `config.image: must begin with https://, http://, file:// or docker://`},
		{name: "another scheme", config: `image = "ftp://images.example.org/pots"` + "\n" + pot,
			want: `config.image: must be http, https or file, not "ftp://images.example.org/pots"`},
		{name: "a slash at the end", config: `image = "https://images.example.org/pots/"` + "\n" + pot},
		{name: "a published name and version", config: "image = \"https://images.example.org/pots\"\npot = \"nginx-nomad-amd64-13_1\"\ntag = \"1.1.13\""},
		{name: "a sha256", config: least + fmt.Sprintf("digest = \"sha256:%064d\"", 1),
			want: `config.digest: must be the image's skein1024, not its sha256: write "skein1024:" and the digits in hello_1.0.xz.skein`},
		{name: "digits alone", config: least + fmt.Sprintf("digest = \"%0256d\"", 1),
			want: `config.digest: must begin with "skein1024:": write "skein1024:" and the digits in hello_1.0.xz.skein`},
		{name: "the digits of a sha256", config: least + fmt.Sprintf("digest = \"skein1024:%064d\"", 1),
			want: `config.digest: 64 hexadecimal digits, not 256: write "skein1024:" and the digits in hello_1.0.xz.skein`},
		{name: "a digest", config: least + fmt.Sprintf("digest = \"skein1024:%0256d\"", 1)},
		{name: "a digest of nothing", config: `digest = "sha256:00"`,
			want: `config.image: must be set to the URL of the directory of the image's files, as in https://images.example.org/pots; ` + needPot + "; " + needTag +
				`; config.digest: must be the image's skein1024, not its sha256: write "skein1024:" and the digits in the image's .skein file`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := backendOf(t, "").plan(taskOf(t, tc.config))
			if tc.want == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, tc.want)
		})
	}
}

// A published job's URL with a slash at its end is that of the same image.
func TestTaskConfig_ref_slash(t *testing.T) {
	leak.Check(t, leak.Foreign)
	p, err := backendOf(t, "").plan(taskOf(t, "image = \"https://images.example.org/pots/\"\npot = \"hello\"\ntag = \"1.0\""))
	must.NoError(t, err)
	must.Eq(t, "https://images.example.org/pots/hello:1.0", p.ref.String())
	u, err := p.ref.URL(".skein")
	must.NoError(t, err)
	must.Eq(t, "https://images.example.org/pots/hello_1.0.xz.skein", u.String())
	must.Eq(t, image.Ref{Source: "https://images.example.org/pots/", Name: "hello", Tag: "1.0"}, p.ref)
}
