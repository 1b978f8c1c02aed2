package image_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
)

// A source that names a file of the image is told which directory to write.
func TestRef_Validate_directory(t *testing.T) {
	leak.Check(t)
	for source, want := range map[string]string{
		"https://h/pots/hello_1.0.xz":        "https://h/pots",
		"https://h/pots/hello_1.0.xz/":       "https://h/pots",
		"https://h/pots/HELLO_1.0.XZ":        "https://h/pots",
		"https://h/pots/other_2.xz":          "https://h/pots",
		"https://h/pots/hello%5F1.0.xz":      "https://h/pots",
		"https://h/pots/hello_1.0.xz.skein":  "https://h/pots",
		"https://h/pots/hello_1.0.xz.meta":   "https://h/pots",
		"https://h/hello_1.0.xz.skein.sig":   "https://h",
		"https://h/pots/hello.skein":         "https://h/pots",
		"https://h/pots/hello:1.0":           "https://h/pots",
		"https://h/hello_1.0.xz/download":    "https://h",
		"file:///hello_1.0.xz":               "file:///",
		"file:///srv/images/hello_1.0.xz":    "file:///srv/images",
		"https://h/xz":                       "",
		"https://h/pots/hello_1.0":           "",
		"https://h/pots/site.meta":           "",
		"https://h.xz/pots":                  "",
		"http://127.0.0.1:8000/xz-utils/1.0": "",
	} {
		err := image.Ref{Source: source, Name: "hello", Tag: "1.0"}.Validate()
		if want == "" {
			must.NoError(t, err, must.Sprint(source))
			continue
		}
		must.ErrorContains(t, err, "source: must be the directory of the image's files, not ", must.Sprint(source))
		must.ErrorContains(t, err, "write \""+want+"\"; hello_1.0.xz is made of pot and tag", must.Sprint(source))
	}
}
