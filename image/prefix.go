package image

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Prefix is a URL and all URLs below it: "https://example.org/pots" covers
// https://example.org/pots/web, but neither https://example.org/pots-of-mine nor
// https://example.org.evil/pots.
type Prefix struct {
	origin string
	path   []string
}

// ParsePrefix parses an http, https, file or docker URL.
func ParsePrefix(s string) (Prefix, error) {
	if err := validatePrefix(s); err != nil {
		return Prefix{}, err
	}
	u, err := url.Parse(s)
	if err != nil {
		return Prefix{}, err
	}
	path, ok := segments(u)
	if !ok {
		return Prefix{}, errors.New("must not have '.', '..', nothing, or an escaped '/' between the '/' of its path")
	}
	return Prefix{Origin(u), path}, nil
}

// validatePrefix returns an error if the URL is not valid. Of a docker URL it quotes nothing
// that may be a secret.
func validatePrefix(s string) error {
	if !IsContainer(s) {
		return ValidateSource(s)
	}
	if err := ValidateSource("https://" + strings.TrimPrefix(s, Docker)); err != nil {
		return errors.New("must be docker://HOST or docker://HOST/REPO, without a user, a query or a fragment")
	}
	u, err := url.Parse(s)
	if err != nil || strings.ContainsAny(u.Path, ":@") {
		return errors.New("must be docker://HOST or docker://HOST/REPO, without a tag or a digest")
	}
	return nil
}

// Covers reports whether source is p or below it. No prefix covers a source whose path
// servers may read in two ways, such as one with "..".
func (p Prefix) Covers(source string) bool {
	if validatePrefix(source) != nil {
		return false
	}
	u, err := url.Parse(source)
	if err != nil || Origin(u) != p.origin {
		return false
	}
	path, ok := segments(u)
	return ok && len(path) >= len(p.path) && slices.Equal(path[:len(p.path)], p.path)
}

// segments returns the decoded parts of u's path; ok is false if servers may read one of
// them in two ways.
func segments(u *url.URL) (parts []string, ok bool) {
	path := strings.Trim(u.EscapedPath(), "/")
	if strings.HasSuffix(u.EscapedPath(), "//") || strings.HasPrefix(u.EscapedPath(), "//") {
		return nil, false
	}
	if path == "" {
		return nil, true
	}
	for part := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(part)
		switch {
		case err != nil, plain == "", plain == ".", plain == "..":
			return nil, false
		case strings.ContainsAny(plain, "/\\;%\x00"):
			return nil, false
		}
		parts = append(parts, plain)
	}
	return parts, true
}

// hostOf returns u's host in the form in which it is compared: host names in either case
// are equal, and a dot at the end does not count.
func hostOf(u *url.URL) string { return strings.TrimSuffix(lower(u.Hostname()), ".") }

func lower(s string) string { return strings.ToLower(s) }

// Origin returns the origin of u (RFC 6454): scheme, host and port.
func Origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[lower(u.Scheme)]
	}
	host := hostOf(u)
	if lower(u.Scheme)+"://" == Docker {
		host = dockerHub(host)
	}
	return lower(u.Scheme) + "://" + host + ":" + port
}
