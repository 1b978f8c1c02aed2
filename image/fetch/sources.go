package fetch

import (
	"net/url"
	"slices"
	"strings"

	"nomad-driver-pot/image"
)

// Source is a reference that an image was pulled by, or that serves the same bytes.
type Source struct {
	Ref             string // image.Ref.String
	WithCredentials bool   // it was pulled with credentials
	Superseded      bool   // the server serves another image now
}

// Sources are the sources of one image, the newest last. As text they are words, each a
// reference and its marks: "https://example.org/pots/web:1.0#login". No reference contains
// a '#'.
type Sources []Source

// Marks of a source in its text.
const (
	markCredentials = "login"
	markSuperseded  = "gone"
)

// maxSourcesBytes bounds the text: a user property has at most 8191 bytes (zfsprops(7)).
const maxSourcesBytes = 7 << 10

// ParseSources reads what Sources.String writes. It ignores unknown marks, which later
// versions may write.
func ParseSources(text string) (all Sources) {
	for _, word := range strings.Fields(text) {
		parts := strings.Split(word, "#")
		all = append(all, Source{
			Ref:             parts[0],
			WithCredentials: slices.Contains(parts[1:], markCredentials),
			Superseded:      slices.Contains(parts[1:], markSuperseded),
		})
	}
	return all
}

// String returns the text of the newest sources, as many as fit into maxSourcesBytes.
func (all Sources) String() string {
	var words []string
	bytes := 0
	for _, s := range slices.Backward(all) {
		word := s.Ref
		if s.WithCredentials {
			word += "#" + markCredentials
		}
		if s.Superseded {
			word += "#" + markSuperseded
		}
		if bytes += len(word) + 1; bytes > maxSourcesBytes {
			break
		}
		words = append(words, word)
	}
	slices.Reverse(words)
	return strings.Join(words, " ")
}

// Find returns the source with ref, in whatever equivalent spelling.
func (all Sources) Find(ref image.Ref) (s Source, found bool) { return all.FindText(ref.String()) }

// FindText is Find for the text of a reference.
func (all Sources) FindText(ref string) (s Source, found bool) {
	key := sourceKey(ref)
	for _, s := range all {
		if sourceKey(s.Ref) == key {
			return s, true
		}
	}
	return Source{}, false
}

// With returns all with s as the newest, in place of a source with the same reference. It
// does not change all.
func (all Sources) With(s Source) Sources {
	key := sourceKey(s.Ref)
	others := slices.DeleteFunc(slices.Clone(all), func(o Source) bool { return sourceKey(o.Ref) == key })
	return append(others, s)
}

// sourceKey returns a reference in the form in which it is compared: host names in either
// case are equal, and the scheme's default port may be left out (RFC 3986, 6.2). Paths are
// compared as written. A reference that cannot be parsed equals only itself.
func sourceKey(ref string) string {
	r, err := image.ParseRef(ref)
	if err != nil {
		return ref
	}
	u, err := url.Parse(r.Source)
	if err != nil {
		return ref
	}
	return image.Origin(u) + strings.TrimRight(u.EscapedPath(), "/") + "/" + r.Name + ":" + r.Tag
}
