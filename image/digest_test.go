package image_test

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
)

var zeros = strings.Repeat("0", 256)

func TestParseSkein(t *testing.T) {
	leak.Check(t)
	t.Run("a digest is what skein1024 -q prints", func(t *testing.T) {
		d, err := image.ParseSkein(imagetest.Hello(".skein"))
		must.NoError(t, err)
		must.Eq(t, "skein1024:"+string(imagetest.Hello(".skein")), d.String()+"\n")
	})
	for text, fault := range map[string]string{
		"":                                  "empty, not a digest",
		zeros:                               "no newline after the digest",
		zeros + "\r\n":                      "carriage return after the digest",
		zeros + "\n\n":                      "more than one newline after the digest",
		zeros + "\n" + zeros + "\n":         "more than one line",
		strings.Repeat("A", 256) + "\n":     "upper-case digits in the digest",
		zeros[1:] + "\n":                    "255 hexadecimal digits, not 256",
		zeros[128:] + "\n":                  "128 hexadecimal digits, not 256",
		"\n":                                "0 hexadecimal digits, not 256",
		zeros[1:] + "x\n":                   `not a hexadecimal digit: "x"`,
		zeros + "  a.xz\n":                  `not a hexadecimal digit: " "`,
		"<!DOCTYPE html><html></html>\n":    "a web page, not a digest",
		"\n\n<html><body>404</body></html>": "a web page, not a digest",
	} {
		_, err := image.ParseSkein([]byte(text))
		must.EqError(t, err, fault, must.Sprintf("%.20q", text))
	}
}

func TestParseDigest(t *testing.T) {
	leak.Check(t)
	d, err := image.ParseDigest("skein1024:" + zeros[1:] + "1")
	must.NoError(t, err)
	must.Eq(t, "skein1024:"+zeros[1:]+"1", d.String())
	for text, fault := range map[string]string{
		"":                          `must begin with "skein1024:"`,
		zeros:                       `must begin with "skein1024:"`,
		"sha256:" + zeros:           `must begin with "skein1024:"`,
		"skein1024:":                "0 hexadecimal digits, not 256",
		"skein1024:" + zeros + "\n": `not a hexadecimal digit: "\n"`,
	} {
		_, err := image.ParseDigest(text)
		must.EqError(t, err, fault)
	}
}

func FuzzParseSkein(f *testing.F) {
	f.Add(imagetest.Hello(".skein"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := image.ParseSkein(b)
		if err == nil {
			must.Eq(t, "skein1024:"+string(b), d.String()+"\n")
		}
	})
}

func TestParseMeta(t *testing.T) {
	leak.Check(t)
	for text, want := range map[string]image.Meta{
		"":                             {},
		"-\n":                          {},
		"plain:1.0@1795392222\n":       {Name: "plain", Tag: "1.0", Snapshot: "1795392222"},
		"fxchild_1_0:2.0@1795392050\n": {Name: "fxchild_1_0", Tag: "2.0", Snapshot: "1795392050"},
	} {
		m, err := image.ParseMeta([]byte(text))
		must.NoError(t, err)
		must.Eq(t, want, m)
	}
	for text, fault := range map[string]string{
		"-":                  "no newline at the end",
		"-\r\n":              "carriage return at the end",
		"-\n\n":              "more than one line",
		"plain:1.0@1":        "no newline at the end",
		"plain:1.0\n":        `must be "-" or NAME:TAG@SNAPSHOT, not "plain:1.0"`,
		"\n":                 `must be "-" or NAME:TAG@SNAPSHOT, not ""`,
		"a:1@1\nb:1@1\n":     "more than one line",
		"plain:1.0@\n":       "snapshot: must be set",
		"<html>404</html>\n": "a web page, not what an image was cloned from",
	} {
		_, err := image.ParseMeta([]byte(text))
		must.EqError(t, err, fault, must.Sprintf("%q", text))
	}
	_, err := image.ParseMeta([]byte("../x:1@1\n"))
	must.ErrorContains(t, err, `name: must be letters, digits`)
	_, err = image.ParseMeta([]byte("x:1@1@2\n"))
	must.ErrorContains(t, err, `snapshot: must be letters, digits`)
}

func FuzzParseMeta(f *testing.F) {
	f.Add([]byte("-\n"))
	f.Add([]byte("plain:1.0@1795392222\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := image.ParseMeta(b)
		if err == nil && m != (image.Meta{}) {
			must.Eq(t, string(b), m.Name+":"+m.Tag+"@"+m.Snapshot+"\n")
		}
	})
}
