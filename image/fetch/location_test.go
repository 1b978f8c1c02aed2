package fetch

import (
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestParsePlace(t *testing.T) {
	leak.Check(t)
	here, err := filepath.Abs("")
	must.NoError(t, err)
	for s, want := range map[string]string{
		"a.xz":                      "file://" + here + "/a.xz.skein",
		"/x/../a b%20?#.xz":         "file:///a%20b%2520%3F%23.xz.skein",
		"https:/a.xz":               "file://" + here + "/https:/a.xz.skein",
		"file:///a/b.xz":            "file:///a/b.xz.skein",
		"https://e.org/p/a%2Fb.xz":  "https://e.org/p/a%2Fb.xz.skein",
		"http://e.org:80/odd name/": "",
		"http:///a.xz":              "",
		"ftp://e.org/a.xz":          "",
		"https://me@e.org/a.xz":     "",
		"https://e.org/a.xz?x=y":    "",
		"":                          "",
	} {
		p, err := ParseLocation(s)
		if want == "" {
			must.Error(t, err, must.Sprint(s))
			continue
		}
		must.NoError(t, err)
		must.Eq(t, s, p.String())
		d := p.Download(".skein", 1, nil)
		must.Eq(t, want, d.URL.String())
		must.Eq(t, s+".skein", d.What)
	}
}
