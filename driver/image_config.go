package driver

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"strings"

	"nomad-driver-pot/image"
)

// ref returns the image that c names, and the credentials in its URL. A problem says what
// to write. Of a container image the reference has only the repository and the pot's name.
func (c *TaskConfig) ref(f *problems) (image.Ref, *image.Container, image.Credentials) {
	source, login := image.CutCredentials(c.Image)
	if image.IsContainer(source) {
		container := c.container(f, source)
		return image.Ref{Source: container.Source(), Name: container.Pot, Tag: container.DatasetTag()}, &container, login
	}
	ref := image.Ref{Source: source, Name: c.Pot, Tag: c.tag(f)}
	c.checkMissing(f, ref)
	if ref.Source != "" && !strings.Contains(ref.Source, ":/") {
		f.add("config.image", "must begin with https://, http://, file:// or docker://%s", withScheme(ref.Source))
	}
	keys := map[string]string{"source": "config.image", "name": "config.pot", "tag": "config.tag"}
	known := *f
	ref.Check(func(field string, err error) {
		if key := keys[field]; !known.have(key) {
			f.add(key, "%w", err)
		}
	})
	return ref, nil, login
}

// tag returns the version of the image. HCL reads a number 1.0 as 1, so that a number is
// another version than its author means.
func (c *TaskConfig) tag(f *problems) string {
	switch tag := c.Tag.(type) {
	case nil:
		return ""
	case string:
		return tag
	}
	f.add("config.tag", "must be a string, in quotes, as in \"1.0\": a number loses its last zeros, and this one is read as %v", c.Tag)
	return ""
}

// checkMissing adds a problem for each key of an image that is missing. If the URL names
// an image's file, the file's name says what to write.
func (c *TaskConfig) checkMissing(f *problems, ref image.Ref) {
	name, tag := "", ""
	if u, err := url.Parse(ref.Source); err == nil && strings.HasSuffix(u.Path, ".xz") {
		file := path.Base(u.Path)
		name, tag = cutLast(strings.TrimSuffix(file, ".xz"), "_")
		if u.Path = path.Dir(u.Path); (ref.Name == "" || ref.Tag == "") && u.Scheme != "" {
			f.add("config.image", "must be the directory of the image's files, not %s itself: write %q", file, u.String())
		}
	}
	known := *f
	for _, key := range []struct{ key, value, what, found, otherwise string }{
		{"config.image", ref.Source, "the URL of the directory of the image's files", "", "https://images.example.org/pots"},
		{"config.pot", ref.Name, "the name of the image", name, "hello, for the file hello_1.0.xz"},
		{"config.tag", ref.Tag, "the version of the image", tag, "1.0, for the file hello_1.0.xz"},
	} {
		switch {
		case key.value != "" || known.have(key.key):
		case key.found != "":
			f.add(key.key, "must be set: write %q", key.found)
		default:
			f.add(key.key, "must be set to %s, as in %s", key.what, key.otherwise)
		}
	}
}

// cutLast returns the parts of s around its last sep, or nothing.
func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", ""
	}
	return s[:i], s[i+len(sep):]
}

// withScheme says how to write a URL without a scheme. It does not quote a URL that may
// have a password in it.
func withScheme(source string) string {
	switch {
	case strings.Contains(source, "@"):
		return ""
	case path.IsAbs(source):
		return fmt.Sprintf(": write %q", "file://"+source)
	}
	return fmt.Sprintf(": write %q", "https://"+source)
}

// wantDigest returns the digest that the image must have, zero for any.
func (c *TaskConfig) wantDigest(f *problems, ref image.Ref) image.Digest {
	const where, algorithm = "config.digest", "skein1024"
	if c.Digest == "" {
		return image.Digest{}
	}
	from := fmt.Sprintf("write %q and the digits in %s.skein", algorithm+":", ref.File())
	if ref.Name == "" || ref.Tag == "" {
		from = fmt.Sprintf("write %q and the digits in the image's .skein file", algorithm+":")
	}
	switch prefix, _, found := strings.Cut(c.Digest, ":"); {
	case !found:
		f.add(where, "must begin with %q: %s", algorithm+":", from)
		return image.Digest{}
	case prefix != algorithm:
		f.add(where, "must be the image's %s, not its %s: %s", algorithm, cmp.Or(prefix, "digest of another kind"), from)
		return image.Digest{}
	}
	d, err := image.ParseDigest(c.Digest)
	if err != nil {
		f.add(where, "%w: %s", err, from)
	} else if d == (image.Digest{}) {
		f.add(where, "must not be all zeros")
	}
	return d
}
