package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/store"
)

func TestPushCredentials(t *testing.T) {
	leak.Check(t)
	netrc := filepath.Join(t.TempDir(), "netrc")
	must.NoError(t, os.WriteFile(netrc, []byte("machine other login o password p\nmachine example.org\n\tlogin me account x password s3cret\n"+
		"machine example.org login late password late\ndefault login anonymous password any\n"), 0o600))
	none := func(string) string { return "" }
	for to, want := range map[string]image.Credentials{
		"https://example.org:8443/pots": {Username: "me", Password: "s3cret"},
		"https://another.org/":          {Username: "anonymous", Password: "any"},
		"/srv/images":                   {},
	} {
		got, err := pushCredentials(to, netrc, none)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	t.Run("the environment goes before the file, and in it a header before a token before a user", func(t *testing.T) {
		env := map[string]string{"POT_PUSH_USERNAME": "u", "POT_PUSH_PASSWORD": "p"}
		get := func() image.Credentials {
			got, err := pushCredentials("https://example.org/", netrc, func(name string) string { return env[name] })
			must.NoError(t, err)
			return got
		}
		must.Eq(t, image.Credentials{Username: "u", Password: "p"}, get())
		env["POT_PUSH_TOKEN"] = "t"
		must.Eq(t, image.Credentials{Token: "t"}, get())
		env["POT_PUSH_HEADER"] = "A: b"
		must.Eq(t, image.Credentials{Header: "A: b"}, get())
	})
	t.Run("a file that others can read is refused", func(t *testing.T) {
		must.NoError(t, os.Chmod(netrc, 0o644))
		_, err := pushCredentials("https://example.org/", netrc, none)
		must.EqError(t, err, "--netrc: "+netrc+" is readable by users other than its owner")
		must.NoError(t, os.Chmod(netrc, 0o600))
	})
	for text, want := range map[string]string{
		"machine other login o password p":   "no entry for example.org",
		"machine example.org login":          errNetrc.Error(),
		"machine example.org s3cret x":       errNetrc.Error(),
		"macdef init\nuser me s3cret\n\nxyz": errNetrc.Error(),
	} {
		must.NoError(t, os.WriteFile(netrc, []byte(text), 0o600))
		_, err := pushCredentials("https://example.org/", netrc, none)
		must.EqError(t, err, "--netrc: "+netrc+": "+want)
	}
}

// Packages image and image/conf have the same labels without importing each other.
func TestLabels(t *testing.T) {
	leak.Check(t)
	must.Eq(t, store.LabelRef, conf.LabelRef)
	must.Eq(t, store.LabelDigest, conf.LabelDigest)
	must.Eq(t, store.LabelTask, conf.LabelTask)
	must.Eq(t, store.LabelSources, conf.LabelSources)
	must.Eq(t, store.LabelImported, conf.LabelImported)
}
