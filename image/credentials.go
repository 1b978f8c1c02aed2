package image

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Credentials authenticate a client to a server. The zero value is none. They are never
// printed: all formatting shows only whether there are any.
type Credentials struct {
	Username, Password string // for Basic (RFC 7617)
	Token              string // for Bearer (RFC 6750)
	Header             string // a custom header: "Name: value"
}

// IsZero reports whether there are none.
func (l Credentials) IsZero() bool { return l == Credentials{} }

// String hides the credentials.
func (l Credentials) String() string {
	if l.IsZero() {
		return "no credentials"
	}
	return "credentials"
}

// GoString implements fmt.GoStringer, for %#v.
func (l Credentials) GoString() string { return l.String() }

// LogValue implements slog.LogValuer.
func (l Credentials) LogValue() slog.Value { return slog.StringValue(l.String()) }

// MarshalText implements encoding.TextMarshaler: encoders too show no secret.
func (l Credentials) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Names of header fields (RFC 9110, section 5.6.2), and the values that all servers accept
// (section 5.5).
var (
	fieldNames  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	fieldValues = regexp.MustCompile(`^[\t -~]+$`)
)

// Validate returns an error if l is not valid. The error quotes nothing of l.
func (l Credentials) Validate() error {
	kinds := 0
	for _, used := range []bool{l.Username != "" || l.Password != "", l.Token != "", l.Header != ""} {
		if used {
			kinds++
		}
	}
	name, value, ok := l.header()
	switch {
	case kinds > 1:
		return errors.New("must be username and password, token, or header: one of them")
	case l.Password != "" && l.Username == "":
		return errors.New("username: must be set, with a password")
	case strings.Contains(l.Username, ":"):
		return errors.New("username: must not have ':' in it") // RFC 7617, section 2
	case strings.ContainsFunc(l.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("token: must be printable, and without blanks")
	case l.Header != "" && (!ok || !fieldNames.MatchString(name) || !fieldValues.MatchString(value)):
		return errors.New("header: must be \"Name: value\"")
	case l.Header != "" && !free(name):
		return errors.New("header: must not be one that requests have anyway")
	}
	return nil
}

// free reports whether a header of that name may be set: it changes neither what a request
// asks for nor where it goes.
func free(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Range", "If-Range", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect",
		"Accept-Encoding", "Proxy-Connection", "Keep-Alive":
		return false
	}
	return true
}

// header splits the custom header; ok is false if it has no colon.
func (l Credentials) header() (name, value string, ok bool) {
	name, value, ok = strings.Cut(l.Header, ":")
	return name, strings.TrimSpace(value), ok
}

// Apply sets the credentials in the header of a request. They must be valid.
func (l Credentials) Apply(h http.Header) {
	switch {
	case l.Token != "":
		h.Set("Authorization", "Bearer "+l.Token)
	case l.Header != "":
		name, value, _ := l.header()
		h.Set(name, value)
	case l.Username != "":
		pair := l.Username + ":" + l.Password
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
}

// CutCredentials removes the user and the password from a URL and returns both. It returns
// a string that is not a URL unchanged, for Ref.Validate to refuse.
func CutCredentials(source string) (string, Credentials) {
	u, err := url.Parse(source)
	if err != nil || u.User == nil {
		return source, Credentials{}
	}
	password, _ := u.User.Password()
	l := Credentials{Username: u.User.Username(), Password: password}
	u.User = nil
	return u.String(), l
}
