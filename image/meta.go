package image

import (
	"errors"
	"fmt"
	"strings"
)

// Meta names the snapshot that an image was cloned from. The zero value is none: the image
// stands alone.
type Meta struct {
	Name     string // of the pot
	Tag      string
	Snapshot string
}

// ParseMeta reads a .meta file: "-" or "NAME:TAG@SNAPSHOT", and a newline. An empty one,
// as old images have, means the same as "-".
func ParseMeta(b []byte) (Meta, error) {
	text := string(b)
	if text == "" || text == "-\n" {
		return Meta{}, nil
	}
	line, ended := strings.CutSuffix(text, "\n")
	name, rest, _ := strings.Cut(line, ":")
	tag, snapshot, ok := strings.Cut(rest, "@")
	switch {
	case webPage(b):
		return Meta{}, errors.New("a web page, not what an image was cloned from")
	case !ended:
		return Meta{}, errors.New("no newline at the end")
	case strings.ContainsRune(line, '\r'):
		return Meta{}, errors.New("carriage return at the end")
	case strings.ContainsRune(line, '\n'):
		return Meta{}, errors.New("more than one line")
	case !ok:
		return Meta{}, fmt.Errorf("must be \"-\" or NAME:TAG@SNAPSHOT, not %q", line)
	}
	m := Meta{Name: name, Tag: tag, Snapshot: snapshot}
	return m, m.validate()
}

// String returns what ParseMeta reads, without the newline.
func (m Meta) String() string {
	if m == (Meta{}) {
		return "-"
	}
	return m.Name + ":" + m.Tag + "@" + m.Snapshot
}

// validate returns every problem of m, joined, each preceded by its field.
func (m Meta) validate() error {
	var errs []error
	for _, part := range []struct{ field, value string }{
		{"name", m.Name}, {"tag", m.Tag}, {"snapshot", m.Snapshot},
	} {
		if err := ValidatePart(part.value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.field, err))
		}
	}
	return errors.Join(errs...)
}
