package image

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Prefix is a URL, and all that are below it: "https://example.org/pots" has
// https://example.org/pots/web below it, and not https://example.org/pots-of-mine
// nor https://example.org.evil/pots.
type Prefix struct {
	origin string
	path   []string
}

// ParsePrefix reads a URL of http, https or file.
func ParsePrefix(s string) (Prefix, error) {
	if err := ValidateSource(s); err != nil {
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

// Covers tells whether source is p or below it. A source whose path a server
// might take for another, as that with "..", is below nothing.
func (p Prefix) Covers(source string) bool {
	if ValidateSource(source) != nil {
		return false
	}
	u, err := url.Parse(source)
	if err != nil || Origin(u) != p.origin {
		return false
	}
	path, ok := segments(u)
	return ok && len(path) >= len(p.path) && slices.Equal(path[:len(p.path)], p.path)
}

// segments are the decoded parts of u's path. They are not ok if one of them
// could mean another path to someone.
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

// hostOf is u's host as it is compared: names are the same in either case, and
// with the root's dot.
func hostOf(u *url.URL) string { return strings.TrimSuffix(lower(u.Hostname()), ".") }

func lower(s string) string { return strings.ToLower(s) }

// Origin is RFC 6454's: scheme, host and port.
func Origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[lower(u.Scheme)]
	}
	return lower(u.Scheme) + "://" + hostOf(u) + ":" + port
}
