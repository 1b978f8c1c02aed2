// Package image brings pot's images from a URL to a dataset that pots can be
// cloned from.
//
// An image is three files beside each other: NAME_TAG.xz, a compressed zfs send
// stream; NAME_TAG.xz.meta, what it was cloned from; and NAME_TAG.xz.skein, the
// digest of the first followed by the second. A Cache fetches and verifies
// them, a Store imports them. No byte of an image is decoded, or goes to the
// host's datasets, before all of them are verified.
//
// A Place is where a person says that they are. There a fourth may be verified
// too: NAME_TAG.xz.skein.sig, the signature of the third.
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

// Bounds on what a reference may be. Dataset names, with those of pool, pots
// and snapshot about them, have 256 bytes (ZFS_MAX_DATASET_NAME_LEN), and file
// names with their endings 255 (NAME_MAX).
const (
	maxSource = 2048
	maxPart   = 128
	MaxName   = 160 // NAME_TAG
)

// parts is what a name or a tag may be: what a dataset, a file and a URL's path
// all take, and nothing that a shell, an option parser or a path would read as
// something else.
var parts = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// Ref names an image: a pot and a tag, and the place they are served from.
// Only one that is valid is put into a path, a URL or a dataset's name.
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

// Validate returns every problem of r, joined, each led by its field.
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

// validateDir says what to write in the place of a source that names one of the image's
// files, or the image, and not the directory that the files are in.
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

// ValidatePart says what is wrong with a name or a tag.
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

// ValidateSource says what is wrong with the URL. A secret in it is never
// shown: what may hold one is not quoted.
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

// String is the reference as people write it; ParseRef reads it.
func (r Ref) String() string {
	dir := strings.TrimRight(r.Source, "/")
	if strings.EqualFold(dir, "file:") { // file:///
		dir += "//"
	}
	return dir + "/" + r.Name + ":" + r.Tag
}

// File is the name of the compressed stream; those of the files beside it begin
// with it.
func (r Ref) File() string { return r.Name + "_" + r.Tag + ".xz" }

// Dataset is what pot calls the imported image: a dot would divide the names
// of jails. Tags 1.0 and 1_0 are one dataset.
func (r Ref) Dataset() string {
	return strings.ReplaceAll(r.Name+"_"+r.Tag, ".", "_")
}

// URL is where the file with that ending is served.
func (r Ref) URL(suffix string) (*url.URL, error) {
	u, err := url.Parse(r.Source)
	if err != nil {
		return nil, errors.New("source: must be a URL")
	}
	return u.JoinPath(r.File() + suffix), nil
}
