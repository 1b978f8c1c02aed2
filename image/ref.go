// Package image defines what an image is: its reference (Ref), its digest, what it was
// cloned from (Meta), the options of a pull, credentials, and an open image (File).
//
// An image is three files beside each other: NAME_TAG.xz, a compressed zfs send stream;
// NAME_TAG.xz.meta, what it was cloned from; and NAME_TAG.xz.skein, the digest of the
// first followed by the second. A fourth is optional: NAME_TAG.xz.skein.sig, a signify(1)
// signature of the third.
//
// This package moves no images. The stages are packages of their own:
//
//   - fetch gets an image from a URL or a path to a verified file;
//   - store imports the verified file as a dataset that pots are cloned from;
//   - build makes an image's files from a tree or a pot's stream;
//   - push publishes those files;
//   - inspect says what is in an image, and what of it would act on a host.
//
// Below them, conf reads what an image says of its pot, zstream reads and writes zfs send
// streams, xz, skein and signify are the formats, and lockdir makes temporary directories.
// No byte of an image is decoded, or reaches the host's datasets, before all of it is
// verified. Begin with Ref and then store.Store.Ensure, which is a whole pull.
package image

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"nomad-driver-pot/image/conf"
)

// Bounds of a reference. A dataset name, with the pool, the pots' dataset and the snapshot,
// has at most 256 bytes (ZFS_MAX_DATASET_NAME_LEN), and a file name with its suffix at most
// 255 (NAME_MAX).
const (
	maxSource = 2048
	maxPart   = 128
	MaxName   = 160 // NAME_TAG
)

// parts matches a name or a tag: characters that are valid in a dataset, a file and a URL's
// path, and have no meaning to a shell, an option parser or a path.
var parts = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// Ref is a reference to an image: a pot, a tag, and the source that serves them. It must be
// valid before it becomes part of a path, a URL or a dataset's name.
type Ref struct {
	Source string // URL of the directory with the files: http, https or file
	Name   string // of the pot that was exported
	Tag    string
}

// ParseRef reads what Ref.String writes, as in
// "https://images.example.org/pots/hello:1.0".
func ParseRef(s string) (Ref, error) {
	source, last, ok := cutLast(s, "/")
	name, tag, tagged := strings.Cut(last, ":")
	if !ok || !tagged {
		return Ref{}, errors.New("must be a URL that ends in NAME:TAG, as in https://images.example.org/pots/hello:1.0")
	}
	if strings.HasSuffix(source, "//") { // file:///hello:1.0
		source += "/"
	}
	ref := Ref{Source: source, Name: name, Tag: tag}
	return ref, ref.Validate()
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Validate returns every problem of r, joined, each preceded by its field.
func (r Ref) Validate() error {
	var errs []error
	r.Check(func(field string, err error) { errs = append(errs, fmt.Errorf("%s: %w", field, err)) })
	return errors.Join(errs...)
}

// Check calls report for every problem of r, with its field: source, name or tag.
func (r Ref) Check(report func(field string, err error)) {
	valid := true
	check := func(field string, err error) {
		if err != nil {
			valid = false
			report(field, err)
		}
	}
	check("source", ValidateSource(r.Source))
	check("name", ValidatePart(r.Name))
	if strings.HasPrefix(r.Name, conf.ImportPrefix) {
		check("name", fmt.Errorf("must not begin with %q, as datasets do that are being imported: %q", conf.ImportPrefix, r.Name))
	}
	check("tag", ValidatePart(r.Tag))
	if valid {
		check("source", r.validateDir())
	}
	if n := len(r.Name) + 1 + len(r.Tag); valid && n > MaxName {
		check("name", fmt.Errorf("must be, with the tag, at most %d characters, not %d", MaxName, n))
	}
}

// validateDir returns an error if the source names one of the image's files, or the image,
// instead of their directory. The error says what to write instead.
func (r Ref) validateDir() error {
	u, err := url.Parse(r.Source)
	if err != nil {
		return errors.New("must be a URL")
	}
	parts := strings.Split(u.Path, "/")
	at := slices.IndexFunc(parts, func(part string) bool {
		text := lower(part)
		return strings.HasSuffix(text, ".xz") || strings.Contains(text, ".xz.") || strings.HasSuffix(text, ".skein") || part == r.Name+":"+r.Tag
	})
	if at < 0 {
		return nil
	}
	u.Path, u.RawPath = strings.Join(parts[:at], "/"), ""
	if u.Path == "" && u.Scheme == "file" {
		u.Path = "/"
	}
	return fmt.Errorf("must be the directory of the image's files, not %s itself: write %q; %s is made of pot and tag", parts[at], u.String(), r.File())
}

// ValidatePart returns an error if a name or a tag is not valid.
func ValidatePart(s string) error {
	switch {
	case s == "":
		return errors.New("must be set")
	case len(s) > maxPart:
		return fmt.Errorf("must be at most %d characters, not %d", maxPart, len(s))
	case !parts.MatchString(s):
		return fmt.Errorf("must be letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_', not %q", s)
	case strings.Contains(s, ".."):
		return fmt.Errorf("must not have '..' in it: %q", s)
	}
	return nil
}

// ValidateSource returns an error if the URL is not valid. The error never quotes a part
// that may hold a secret.
func ValidateSource(s string) error {
	if s == "" {
		return errors.New("must be set")
	}
	if len(s) > maxSource {
		return fmt.Errorf("must be at most %d characters, not %d", maxSource, len(s))
	}
	u, err := url.Parse(s)
	odd := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
	switch {
	case (err != nil || odd) && strings.Contains(s, "@"):
		return errors.New("must be a URL")
	case err != nil || odd:
		return fmt.Errorf("must be a URL, not %q", s)
	case u.User != nil:
		u.User = nil
		return fmt.Errorf("must not hold a user or a password: %s", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		u.RawQuery, u.Fragment = "", ""
		return fmt.Errorf("must not have a query or a fragment: %s", u.Redacted())
	}
	switch u.Scheme {
	case "http", "https":
		if u.Hostname() == "" {
			return fmt.Errorf("must name a host, not %q", s)
		}
	case "file":
		if u.Host != "" || !path.IsAbs(u.Path) {
			return fmt.Errorf("must be file:// and an absolute path, not %q", s)
		}
	default:
		return fmt.Errorf("must be http, https or file, not %q", s)
	}
	return nil
}

// String returns the reference as people write it; ParseRef reads it.
func (r Ref) String() string {
	dir := strings.TrimRight(r.Source, "/")
	if strings.EqualFold(dir, "file:") { // file:///
		dir += "//"
	}
	return dir + "/" + r.Name + ":" + r.Tag
}

// File returns the name of the compressed stream. The names of the files beside it begin
// with it.
func (r Ref) File() string { return r.Name + "_" + r.Tag + ".xz" }

// Dataset returns pot's name for the imported image. It has no dot, which would separate
// the names of jails. So tags 1.0 and 1_0 are one dataset.
func (r Ref) Dataset() string {
	return strings.ReplaceAll(r.Name+"_"+r.Tag, ".", "_")
}

// URL returns the URL of the file with that suffix.
func (r Ref) URL(suffix string) (*url.URL, error) {
	u, err := url.Parse(r.Source)
	if err != nil {
		return nil, errors.New("source: must be a URL")
	}
	return u.JoinPath(r.File() + suffix), nil
}
