package image_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
)

const source = "https://images.example.org/pots"

func TestRef(t *testing.T) {
	leak.Check(t)
	t.Run("names are those of pot", func(t *testing.T) {
		ref := image.Ref{Source: source, Name: "nginx-amd64-14_2", Tag: "1.24.1"}
		must.NoError(t, ref.Validate())
		must.Eq(t, "nginx-amd64-14_2_1.24.1.xz", ref.File())
		must.Eq(t, "nginx-amd64-14_2_1_24_1", ref.Dataset())
		must.Eq(t, source+"/nginx-amd64-14_2:1.24.1", ref.String())
	})
	t.Run("a slash at the end of the source makes no difference", func(t *testing.T) {
		a := image.Ref{Source: source, Name: "a", Tag: "1"}
		b := image.Ref{Source: source + "/", Name: "a", Tag: "1"}
		must.Eq(t, a.String(), b.String())
	})
}

func TestRef_Validate(t *testing.T) {
	leak.Check(t)
	part := func(s string) string {
		return "must be letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_', not " + s
	}
	for name, fault := range map[string]string{
		"":                       "must be set",
		"a/b":                    part(`"a/b"`),
		"..":                     part(`".."`),
		"../a":                   part(`"../a"`),
		"a..b":                   `must not have '..' in it: "a..b"`,
		".a":                     part(`".a"`),
		"-a":                     part(`"-a"`),
		"a b":                    part(`"a b"`),
		"a\n":                    part(`"a\n"`),
		"a\x00b":                 part(`"a\x00b"`),
		"a\x1b[31m":              part(`"a\x1b[31m"`),
		"a@b":                    part(`"a@b"`),
		"a:b":                    part(`"a:b"`),
		"a+b":                    part(`"a+b"`),
		"a%2fb":                  part(`"a%2fb"`),
		"ä":                      part(`"ä"`),
		strings.Repeat("a", 129): "must be at most 128 characters, not 129",
	} {
		must.EqError(t, image.Ref{Source: source, Name: name, Tag: "1"}.Validate(), "name: "+fault)
		must.EqError(t, image.Ref{Source: source, Name: "a", Tag: name}.Validate(), "tag: "+fault)
	}
	t.Run("name and tag must go together into a file's name", func(t *testing.T) {
		long := strings.Repeat("a", 128)
		must.EqError(t, image.Ref{Source: source, Name: long, Tag: long}.Validate(),
			"name: must be, with the tag, at most 160 characters, not 257")
	})
	t.Run("all problems are reported at once", func(t *testing.T) {
		must.EqError(t, image.Ref{}.Validate(), "source: must be set\nname: must be set\ntag: must be set")
	})
}

func TestRef_Validate_source(t *testing.T) {
	leak.Check(t)
	for source, fault := range map[string]string{
		"http://127.0.0.1:8080":      "",
		"https://images.example.org": "",
		"file:///":                   "",
		"file:///var/images/":        "",

		"":                     "must be set",
		"images.example.org":   `must be http, https or file, not "images.example.org"`,
		"ftp://a/b":            `must be http, https or file, not "ftp://a/b"`,
		"http:///pots":         `must name a host, not "http:///pots"`,
		"http:pots":            `must name a host, not "http:pots"`,
		"http://:80/":          `must name a host, not "http://:80/"`,
		"file://a/b":           `must be file:// and an absolute path, not "file://a/b"`,
		"file:a":               `must be file:// and an absolute path, not "file:a"`,
		"http://a/b c":         `must be a URL, not "http://a/b c"`,
		"http://a/ä":           `must be a URL, not "http://a/ä"`,
		"http://a\n":           `must be a URL, not "http://a\n"`,
		"http://a/%zz":         `must be a URL, not "http://a/%zz"`,
		"http://a/b?token=abc": "must not have a query or a fragment: http://a/b",
		"http://a/b#c":         "must not have a query or a fragment: http://a/b",
		"http://a/b#":          "must not have a query or a fragment: http://a/b",

		// What might be a secret is not shown.
		"https://token@a/b":     "must not hold a user or a password: https://a/b",
		"https://u:secret@a/b":  "must not hold a user or a password: https://a/b",
		"https://u:sec/ret@a/b": "must be a URL",
		"https://u:sec ret@a/b": "must be a URL",

		"http://a/" + strings.Repeat("a", 2048): "must be at most 2048 characters, not 2057",
	} {
		err := image.Ref{Source: source, Name: "a", Tag: "1"}.Validate()
		if fault == "" {
			must.NoError(t, err, must.Sprint(source))
		} else {
			must.EqError(t, err, "source: "+fault, must.Sprint(source))
		}
	}
}

func TestParseRef(t *testing.T) {
	leak.Check(t)
	for _, s := range []string{source + "/hello:1.0", "file:///hello:1.0", "http://127.0.0.1:80/hello:1.0"} {
		ref, err := image.ParseRef(s)
		must.NoError(t, err, must.Sprint(s))
		must.Eq(t, s, ref.String())
	}
	for _, s := range []string{"", "hello", "hello:1.0", source + "/hello", "https://a:1"} {
		_, err := image.ParseRef(s)
		must.Error(t, err, must.Sprint(s))
	}
}

// FuzzParseRef: what is taken is a name that stays where it is put.
func FuzzParseRef(f *testing.F) {
	f.Add(source + "/hello:1.0")
	f.Add("file:///hello:1.0")
	f.Add("http://a/../b:..")
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := image.ParseRef(s)
		if err != nil {
			return
		}
		must.NoError(t, ref.Validate())
		must.Eq(t, ref.File(), filepath.Base(ref.File()))
		must.True(t, filepath.IsLocal(ref.File()))
		must.StrNotContains(t, ref.Dataset(), ".")
		must.StrNotContains(t, ref.Dataset(), "/")
		again, err := image.ParseRef(ref.String())
		must.NoError(t, err)
		must.Eq(t, ref.String(), again.String())
	})
}
