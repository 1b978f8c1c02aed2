package fetch

import (
	"net/url"
	"slices"
	"strings"

	"nomad-driver-pot/image"
)

// A source is a reference that an image was pulled by, or that its server was found to
// serve the same bytes by.
type Source struct {
	Ref   string // Ref.String
	Login bool   // the server was shown a Login
	Gone  bool   // the server serves another image by now
}

// Sources are where one image was pulled from. As text they are words, each a reference and what
// holds of it: "https://example.org/pots/web:1.0#login". No reference has a '#' in it.
type Sources []Source

// Marks of a source in its text.
const (
	markLogin = "login"
	markGone  = "gone"
)

// maxSourcesBytes bounds the text: a user property has at most 8191 bytes (zfsprops(7)).
const maxSourcesBytes = 7 << 10

// ParseSources reads what sources.String writes. Marks that are not known are ignored.
func ParseSources(text string) (all Sources) {
	for _, word := range strings.Fields(text) {
		parts := strings.Split(word, "#")
		all = append(all, Source{
			Ref:   parts[0],
			Login: slices.Contains(parts[1:], markLogin),
			Gone:  slices.Contains(parts[1:], markGone),
		})
	}
	return all
}

// String is the text of the newest sources, as many as it has room for.
func (all Sources) String() string {
	var words []string
	bytes := 0
	for _, s := range slices.Backward(all) {
		word := s.Ref
		if s.Login {
			word += "#" + markLogin
		}
		if s.Gone {
			word += "#" + markGone
		}
		if bytes += len(word) + 1; bytes > maxSourcesBytes {
			break
		}
		words = append(words, word)
	}
	slices.Reverse(words)
	return strings.Join(words, " ")
}

// Find returns the source that is ref's, however that is written.
func (all Sources) Find(ref image.Ref) (s Source, found bool) {
	key := sourceKey(ref.String())
	for _, s := range all {
		if sourceKey(s.Ref) == key {
			return s, true
		}
	}
	return Source{}, false
}

// With returns all with s as the newest, in the place of one of the same reference.
func (all Sources) With(s Source) Sources {
	key := sourceKey(s.Ref)
	others := slices.DeleteFunc(slices.Clone(all), func(o Source) bool { return sourceKey(o.Ref) == key })
	return append(others, s)
}

// sourceKey is a reference as it is compared: names of hosts are the same in either case,
// and a port that is the scheme's own need not be there (RFC 3986, 6.2). Paths are
// compared as they are written. A reference that cannot be read is like no other.
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
